"""Connected parts of segments: small ones given away, holes filled, segments split into their parts.

labels [H, W] int16; parts are connected by 4 neighbours. Areas are fractions of the image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import ndimage


def tidied(labels: torch.Tensor, least: float, hole: float) -> torch.Tensor:
    """Without connected parts below `least`, and then without holes below `hole`."""
    return fill_holes(remove_small_regions(labels, least), hole)


def remove_small_regions(labels: torch.Tensor, min_area: float) -> torch.Tensor:
    """Give connected parts below `min_area` the label of the nearest pixel that stays.

    `min_area` 0 changes nothing. If no part is large enough, the largest stays.
    """
    if min_area <= 0:
        return labels
    values = labels.cpu().numpy()
    parts = _connected_parts(values)  # [H, W], 1..
    areas = np.bincount(parts.ravel())
    stays = areas >= min_area * values.size
    stays[areas.argmax()] = True
    nearest = ndimage.distance_transform_edt(~stays[parts], return_distances=False, return_indices=True)
    return torch.from_numpy(values[tuple(nearest)]).to(labels.device)


def fill_holes(labels: torch.Tensor, max_area: float) -> torch.Tensor:
    """Give what one segment encloses to that segment, where it is smaller than `max_area`; 0 changes nothing.

    Of holes inside holes the outermost that is small enough wins. What touches the image's edge is no hole.
    """
    if max_area <= 0:
        return labels
    values = labels.cpu().numpy()
    filled = values.copy()
    for area, number, box, shape in sorted(_holes(values), key=lambda hole: hole[0]):
        if area < max_area * values.size:
            filled[box][shape] = number
    return torch.from_numpy(filled).to(labels.device)


def split_parts(labels: torch.Tensor) -> torch.Tensor:
    """A number of its own for every connected part, by segment and then in reading order: [H, W] int32, from 0."""
    return torch.from_numpy(_connected_parts(labels.cpu().numpy()) - 1).to(labels.device, torch.int32)


def _holes(values: np.ndarray) -> Iterator[tuple[int, int, tuple[slice, slice], np.ndarray]]:
    """(pixels, the enclosing segment, box, shape inside the box) of everything that one segment encloses."""
    for number, box in enumerate(ndimage.find_objects(values.astype(np.int32) + 1)):
        if box is None:
            continue
        inside = values[box] == number
        enclosed, _ = ndimage.label(ndimage.binary_fill_holes(inside) & ~inside)
        for hole, within in enumerate(ndimage.find_objects(enclosed), 1):
            shape = ndimage.binary_fill_holes(enclosed[within] == hole)  # with the islands in it
            yield int(shape.sum()), number, _shifted(within, box), shape


def _shifted(within: tuple[slice, slice], box: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (slice(part.start + whole.start, part.stop + whole.start) for part, whole in zip(within, box))
    return rows, columns


def _connected_parts(values: np.ndarray) -> np.ndarray:
    """Number the connected parts of equal value, from 1, by label and then in reading order."""
    parts, total = np.zeros(values.shape, np.int64), 0
    for number, box in enumerate(ndimage.find_objects(values.astype(np.int32) + 1)):
        if box is None:
            continue
        found, count = ndimage.label(values[box] == number)
        parts[box] += np.where(found > 0, found + total, 0)
        total += count
    return parts
