"""Likeness of the cells of a feature grid to wanted examples, rather than to unwanted ones.

A point's examples are the feature of its cell and the mean of the cluster that the cell is in. A further point's
cluster counts only where it adds no more than is there already, because a missing piece at a border may lie in a cell
that is mostly background. Unwanted examples are the means of the other clusters, and the cells of negative points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label

from .kmeans import one_hot
from .segments.boxes import mostly_inside
from .segments.merging import mask_embeddings

Cell = tuple[int, int]  # row, column
STEEPNESS = 2.0  # of the likeness at equal distances


def likeness(
    features: torch.Tensor, labels: torch.Tensor, wanted: Sequence[Cell], unwanted: Sequence[Cell], inside: torch.Tensor
) -> torch.Tensor:
    """How far each cell of `features` [h, w, C] is like the wanted examples rather than the rest: [h, w] in 0..1.

    1/2 means equal distances to the nearest example of each kind. labels [h, w] are the clusters of the cells. `inside`
    [h, w] bool marks the cells in boxes. A cluster that lies mostly there is wanted, or else the one with most cells
    there. Other clusters are unwanted, unless a point asks for them.
    """
    points, count = features.flatten(0, 1).float(), int(labels.max()) + 1  # [h*w, C]
    points = points - points.mean(0)  # a far-off origin costs no accuracy
    means = mask_embeddings(points, one_hot(labels.view(1, 1, -1), count)[0, :, 0].T)
    width, labels = labels.shape[1], labels.cpu()  # connected parts are found on the processor only
    own, others = ([row * width + column for row, column in cells] for cells in (wanted, unwanted))
    chosen = _pointed_at(labels, wanted) | _filled(labels.flatten(), inside.flatten())
    unlike = [number for number in range(count) if number not in chosen]
    near, far = (
        _nearest_distance(points, torch.cat([points[cells], means[numbers]]))
        for cells, numbers in ((own, sorted(chosen)), (others, unlike))
    )
    contrast = (far - near) / (far + near).clamp_min(1e-9)  # -1..1
    contrast = contrast.where(far.isfinite(), contrast.new_ones(()))
    return (STEEPNESS * contrast).sigmoid().unflatten(0, features.shape[:2])


def _pointed_at(labels: torch.Tensor, wanted: Sequence[Cell]) -> set[int]:
    """The clusters in labels [h, w] of the first cell, and of each further cell that adds no more than is there.

    A cell adds the part of its cluster that it lies in, connected by 4 neighbours.
    """
    chosen: set[int] = set()
    size = 0
    for cell in wanted:
        number = int(labels[cell])
        parts, _ = label((labels == number).numpy())
        part = int((parts == parts[cell]).sum())
        if number not in chosen and (not chosen or part <= size):
            chosen.add(number)
            size += part
    return chosen


def _filled(labels: torch.Tensor, inside: torch.Tensor) -> set[int]:
    """Clusters with more than half of their cells inside, or else the one with most cells there; none without a box."""
    if not inside.any():
        return set()
    everywhere = torch.bincount(labels)
    return mostly_inside(everywhere, torch.bincount(labels[inside], minlength=len(everywhere)))


def _nearest_distance(points: torch.Tensor, examples: torch.Tensor) -> torch.Tensor:
    """Squared distance of each point to the nearest example; infinite where there is none."""
    if not len(examples):
        return points.new_full((len(points),), torch.inf)
    return torch.cdist(points, examples).square().amin(1)


def with_points(mask: torch.Tensor, points: Sequence[tuple[int, int]]) -> torch.Tensor:
    """The connected parts of a mask [H, W] bool that hold one of the points (x, y), without similar things elsewhere.

    A point that lies in no part keeps the part nearest to it. Runs on the processor, where connected parts are found.
    """
    parts, _ = label(mask.numpy(), np.ones((3, 3)))
    if not parts.any():
        return mask
    nearest = parts
    if not all(parts[y, x] for x, y in points):
        nearest = parts[tuple(distance_transform_edt(parts == 0, return_distances=False, return_indices=True))]
    kept = np.zeros(parts.max() + 1, bool)
    kept[[nearest[y, x] for x, y in points]] = True
    return torch.from_numpy(kept[parts])
