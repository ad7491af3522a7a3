"""Normalized cuts over feature vectors: how many segments a picture has, and which (Shi and Malik 2000).

DiffCut does this with a diffusion model's features. The graph of all vectors is cut in two where that costs least. Each
part is cut again, as long as a cut costs less than a threshold. points [N, C] -> labels [N].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from einops import rearrange
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch.nn.functional import normalize

from .kmeans import largest_first, nearest, one_hot, require_finite

POWER = 4  # of the cosine; a higher one separates less similar points sooner
MOST_POINTS = 4096  # of the graph; its memory grows with their square
SMALL = 64  # points; below this, all eigenvectors are found as fast as one


def cut_labels(
    points: torch.Tensor, threshold: float, most: int, step: Callable[[int], None] | None = None
) -> torch.Tensor:
    """Recursive normalized cuts of `points` [N, C]: labels [N] int64, 0..k-1, k <= `most` decided by `threshold`.

    The affinity of two points is the cosine of their differences from the mean of all, to the power of POWER; negative
    cosines count as 0. A part is cut where Ncut(A, B) = cut(A, B) / vol(A) + cut(A, B) / vol(B) is least along its
    second eigenvector, if that is below `threshold` (0..2). Of more than MOST_POINTS points an even sample is cut; each
    other point joins the part with the nearest mean direction. Segments are numbered by size, largest first. `step` is
    called with how many points have been assigned since: 0 before a cut. It may raise to cancel. Nothing is random.

    Raises ValueError when a point is not finite.
    """
    require_finite(points)
    directions = _directions(points)  # [N, C]
    stride = -(-len(points) // MOST_POINTS)
    chosen = directions[::stride]  # points_of_graph(N) of them
    # Solvers for a few eigenvectors run on the processor only.
    parts = _parts((chosen @ chosen.T).clamp_min(0).pow(POWER).cpu().numpy(), threshold, most, step)
    labels = torch.from_numpy(parts).to(points.device)
    if stride > 1:
        labels = _nearest_direction(directions, chosen, labels).index_put(
            (torch.arange(0, len(points), stride, device=labels.device),), labels
        )
    return largest_first(labels).argsort()[labels]


def points_of_graph(points: int) -> int:
    """How many of `points` points are in the graph that is cut."""
    return -(-points // -(-points // MOST_POINTS))


def cut_masks(
    features: torch.Tensor,
    threshold: float,
    most: int,
    shared: bool = False,
    step: Callable[[int], None] | None = None,
) -> tuple[torch.Tensor, list[int]]:
    """Cut `features` [B, h, w, C] into binary masks [B, K, h, w] float32, and how many of them each image has.

    Images are cut one by one, and the masks beyond an image's own number are empty. `shared` cuts all of them together:
    segment i then means the same thing in every image, and may be empty in some.

    >>> features = torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]])  # [B, h, w, C]
    >>> masks, counts = cut_masks(features, threshold=0.3, most=8)
    >>> masks.shape, counts
    (torch.Size([1, 2, 1, 3]), [2])
    """
    groups = rearrange(features, "b h w c -> 1 (b h w) c" if shared else "b h w c -> b (h w) c")
    labels = torch.stack([cut_labels(group, threshold, most, step) for group in groups])  # [groups, points]
    counts = (labels.amax(1) + 1).tolist() * (len(features) // len(groups))
    return one_hot(labels.reshape(features.shape[:3]), max(counts)), counts  # [B, K, h, w]


def reference_cut_masks(
    features: torch.Tensor,
    reference: torch.Tensor,
    threshold: float,
    most: int,
    step: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Cut `reference` [R, h', w', C] as one, and give each of `features` [B, h, w, C] its nearest vector's segment.

    Masks [B, K, h, w] float32, 0 or 1, K decided by the reference. Segment i means the same thing in every image, and
    may be empty. A part need not lie around its mean, so the nearest vector tells more than the nearest mean.
    """
    examples = reference.flatten(0, 2)
    labels = cut_labels(examples, threshold, most, step)
    return one_hot(labels[nearest(features, examples)], int(labels.max()) + 1)


def _directions(points: torch.Tensor) -> torch.Tensor:
    """What each point differs by from the mean of all, of length 1; of length 0 where it is the mean."""
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    return normalize((points - points.mean(0)).float(), dim=1)


def _nearest_direction(directions: torch.Tensor, chosen: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    members = torch.nn.functional.one_hot(labels).T.float()  # [k, n]
    return (directions @ normalize(members @ chosen, dim=1).T).argmax(1)


def _parts(affinity: np.ndarray, threshold: float, most: int, step) -> np.ndarray:
    """The part of each of n points, of affinity [n, n]: int64 [n], every number used. The largest part is cut first."""
    waiting: list[np.ndarray] = [np.arange(len(affinity))]
    finished: list[np.ndarray] = []
    while waiting:
        if step is not None:
            step(0)
        part = waiting.pop(max(range(len(waiting)), key=lambda each: len(waiting[each])))
        full = len(waiting) + len(finished) + 2 > most
        halves = None if full else _cut(affinity[np.ix_(part, part)], threshold)
        if halves is None:
            finished.append(part)
            if step is not None:
                step(len(part))
        else:
            waiting += [part[half] for half in halves]
    labels = np.zeros(len(affinity), np.int64)
    for number, part in enumerate(finished):
        labels[part] = number
    return labels


def _cut(affinity: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The two halves of the cheapest cut along the second eigenvector, or None where it costs `threshold` or more."""
    degrees = affinity.sum(1)
    if len(affinity) < 2 or not degrees.any():
        return None
    scale = 1 / np.sqrt(degrees.clip(1e-12))
    order = np.argsort(scale * _second_eigenvector(affinity * scale * scale[:, None], np.sqrt(degrees)), kind="stable")
    costs = _costs(affinity[np.ix_(order, order)])
    place = int(costs.argmin())
    return (order[: place + 1], order[place + 1 :]) if costs[place] < threshold else None


def _costs(affinity: np.ndarray) -> np.ndarray:
    """Ncut of splitting the ordered points, with affinity [n, n], after each but the last: [n - 1]."""
    volumes = affinity.sum(1).cumsum(dtype=np.float64)
    inside = affinity.cumsum(0, dtype=np.float64).cumsum(1).diagonal()  # affinity among the first points
    cuts = (volumes - inside)[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(cuts / volumes[:-1] + cuts / (volumes[-1] - volumes[:-1]), nan=2.0, posinf=2.0)


def _second_eigenvector(matrix: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Second eigenvector of a symmetric matrix [n, n]; its largest eigenvalue is 1, with eigenvector `first`."""
    first = first / np.linalg.norm(first)
    if len(matrix) >= SMALL:
        without = partial(_less_direction, matrix, first)
        rest = LinearOperator(matrix.shape, without, dtype=matrix.dtype)
        start = np.random.default_rng(0).standard_normal(len(matrix)).astype(matrix.dtype)
        try:
            return eigsh(rest, 1, which="LA", v0=start, tol=1e-4)[1][:, 0]
        except ArpackNoConvergence:
            pass  # the dense solver below is slower but never fails
    return np.linalg.eigh(matrix - 2 * np.outer(first, first))[1][:, -1]


def _less_direction(matrix: np.ndarray, first: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix times x, with the eigenvalue of `first` moved from 1 to -1."""
    x = x.ravel()
    return matrix @ x - 2 * first * (first @ x)
