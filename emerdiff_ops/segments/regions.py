"""Connected parts of segments: remove small ones, fill holes, split segments into their parts.

labels [H, W] int16; parts are connected by 4 neighbours. Areas are fractions of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from scipy import ndimage

from .texts import Part

MOST_PARTS = 2**15 - 1  # the largest part number in a map for browsers; 0 is no part


def tidied(labels: torch.Tensor, least: float, hole: float) -> torch.Tensor:
    """Remove connected parts below `least`, then fill holes below `hole`."""
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
    """Fill holes smaller than `max_area` with the segment that encloses them; 0 changes nothing.

    Of nested holes the outermost that is small enough wins. A region that touches the image's edge is not a hole.
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
    """Number every connected part, by segment and then in reading order: [H, W] int32, from 0."""
    return torch.from_numpy(_connected_parts(labels.cpu().numpy()) - 1).to(labels.device, torch.int32)


def parts_for_browsers(labels: torch.Tensor) -> torch.Tensor:
    """The parts in the order of split_parts, from 1; 0 for those beyond MOST_PARTS: [H, W] int16."""
    parts = split_parts(labels) + 1
    return torch.where(parts > MOST_PARTS, 0, parts).to(torch.int16)


def is_part(labels: torch.Tensor, part: Part) -> bool:
    """Whether a part's pixel lies within labels [H, W], and in the part's segment."""
    height, width = labels.shape
    return part.x < width and part.y < height and int(labels[part.y, part.x]) == part.number


def pixels_of_parts(labels: torch.Tensor, parts: Iterable[Part]) -> torch.Tensor:
    """True where one of the parts lies: [H, W] bool. All parts must exist in labels [H, W]."""
    values, inside = labels.cpu().numpy(), np.zeros(labels.shape, bool)
    places: dict[int, list[Part]] = {}
    for part in parts:
        places.setdefault(part.number, []).append(part)
    for number, own in places.items():
        found, _ = ndimage.label(values == number)
        inside |= np.isin(found, [found[part.y, part.x] for part in own])
    return torch.from_numpy(inside).to(labels.device)


def _holes(values: np.ndarray) -> Iterator[tuple[int, int, tuple[slice, slice], np.ndarray]]:
    """(pixels, enclosing segment, box, shape inside the box) of each region that one segment encloses."""
    for number, box in enumerate(ndimage.find_objects(values.astype(np.int32) + 1)):
        if box is None:
            continue
        inside = values[box] == number
        enclosed, _ = ndimage.label(ndimage.binary_fill_holes(inside) & ~inside)
        for hole, within in enumerate(ndimage.find_objects(enclosed), 1):
            shape = ndimage.binary_fill_holes(enclosed[within] == hole)  # including islands
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
