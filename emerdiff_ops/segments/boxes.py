"""Boxes around masks, and the segments that lie in boxes.

A box is (x1, y1, x2, y2) in whole pixels, x2 and y2 exclusive: it holds labels[y1:y2, x1:x2].
labels [H, W] int16, numbers from 0; masks [H, W], 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import ndimage

from .labels import empty_masks
from .texts import Box


def select_in_boxes(labels: torch.Tensor, boxes: Iterable[Box]) -> list[int]:
    """Numbers of the segments with more than half of their area inside one of the boxes, sorted, each once.

    A box without such a segment selects the segment that fills most of it; ties go to the lowest number.
    """
    areas = torch.bincount(labels.flatten().long())  # [K]
    chosen: set[int] = set()
    for x1, y1, x2, y2 in boxes:
        inside = torch.bincount(labels[y1:y2, x1:x2].flatten().long(), minlength=len(areas))  # [K]
        chosen |= mostly_inside(areas, inside)
    return sorted(chosen)


def mostly_inside(areas: torch.Tensor, inside: torch.Tensor) -> set[int]:
    """Numbers with more than half of their area [K] inside, or else the one with most there, the lowest of ties."""
    return set((2 * inside > areas).nonzero().flatten().tolist()) or {int(inside.argmax())}


def box_around(mask: torch.Tensor, padding: int = 0) -> Box | None:
    """The smallest box with every pixel of a mask [H, W] of 0.5 or more, or None where there is none.

    `padding` pixels are added at each side, as far as the mask's borders allow.
    """
    rows = (mask.amax(1) >= 0.5).nonzero()
    if not len(rows):
        return None
    columns = (mask[int(rows[0]) : int(rows[-1]) + 1].amax(0) >= 0.5).nonzero()
    height, width = mask.shape
    return (
        max(0, int(columns[0]) - padding),
        max(0, int(rows[0]) - padding),
        min(width, int(columns[-1]) + 1 + padding),
        min(height, int(rows[-1]) + 1 + padding),
    )


def boxes_of_segments(labels: torch.Tensor) -> dict[int, Box]:
    """The smallest box around each segment in labels [H, W], by number, in one pass."""
    places = ndimage.find_objects(labels.cpu().numpy().astype(np.int32) + 1)  # find_objects ignores 0
    found = [(number, *place) for number, place in enumerate(places) if place]
    return {number: (x.start, y.start, x.stop, y.stop) for number, y, x in found}


def crop_region(box: Box, factor: float, width: int, height: int) -> Box:
    """The box enlarged by `factor` (1 or more) about its centre, then moved and cut to fit the picture."""
    x1, y1, x2, y2 = box
    x1, x2 = _stretched(x1, x2, factor, width)
    y1, y2 = _stretched(y1, y2, factor, height)
    return x1, y1, x2, y2


def cropped_mask(inside: torch.Tensor, box: Box, region: Box) -> torch.Tensor:
    """The pixels [h, w] bool of a box as a float32 mask of the region around it; zeros outside take no memory yet."""
    (x1, y1, x2, y2), (left, top, right, bottom) = box, region
    mask = empty_masks(bottom - top, right - left)
    np.copyto(mask[y1 - top : y2 - top, x1 - left : x2 - left].numpy(), 1, where=inside.cpu().numpy())
    return mask


def _stretched(start: int, end: int, factor: float, limit: int) -> tuple[int, int]:
    length = min(limit, int((end - start) * factor))
    first = min(max(0, (start + end - length) // 2), limit - length)
    return first, first + length
