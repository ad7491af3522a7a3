"""Boxes: read in the forms that other nodes give them, drawn around masks, and the segments that lie in them.

A box is (x1, y1, x2, y2) in whole pixels, x2 and y2 exclusive: it holds labels[y1:y2, x1:x2].
labels [H, W] int16, numbers from 0; masks [H, W], 0 or 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TypeGuard

import numpy as np
import torch
from scipy import ndimage

from ..errors import shortened
from .labels import empty_masks

Box = tuple[int, int, int, int]

SIDES = ("x", "y", "width", "height")
FAR = 1e9  # pixels; nothing larger is meant


def parse_boxes(value: object, width: int, height: int, pictures: int = 1) -> list[list[Box]]:
    """The boxes of each picture of a batch: parse_boxes_in for `pictures` pictures of one size."""
    return parse_boxes_in([(width, height)] * pictures, value)


def parse_boxes_in(sizes: Sequence[tuple[int, int]], value: object, first_alone: bool = False) -> list[list[Box]]:
    """The boxes of each picture of `sizes` (width, height), cut at the borders, fractions rounded outwards.

    `value` is one box, a list of boxes for every picture, or with `first_alone` for the first, a list of such lists
    with one for each picture, or any of these as JSON text; tuples, arrays and tensors count as lists. A box is {"x",
    "y", "width", "height"}, whatever else it holds, or four numbers x1, y1, x2, y2. None, "" and {} are no box.
    Raises ValueError for anything else, a box without a pixel in the picture, and lists for other than all pictures.
    """
    try:
        lists = _for_each_picture(_plain(_from_json(value) if isinstance(value, str) else value))
        if len(lists) == 1:
            lists = lists + ([[]] if first_alone else lists) * (len(sizes) - 1)
        if len(lists) != len(sizes):
            raise ValueError(
                f"there are boxes for {len(lists)} pictures, but {len(sizes)} pictures: give one list for each"
            )
        return [
            [_parse_box(number, box, *size) for number, box in enumerate(boxes, 1) if box != {}]
            for boxes, size in zip(lists, sizes)
        ]
    except RecursionError:  # reading them, or naming them in an error
        raise ValueError("boxes are lists within lists without end; give a list of boxes for each picture") from None


def select_in_boxes(labels: torch.Tensor, boxes: Iterable[Box]) -> list[int]:
    """Numbers of the segments with more than half of their area inside one of the boxes, sorted, each once.

    A box that holds no such segment stands for the one that fills most of it, the lowest number where equal.
    """
    areas = torch.bincount(labels.flatten().long())  # [K]
    chosen: set[int] = set()
    for x1, y1, x2, y2 in boxes:
        inside = torch.bincount(labels[y1:y2, x1:x2].flatten().long(), minlength=len(areas))  # [K]
        chosen |= mostly_inside(areas, inside)
    return sorted(chosen)


def mostly_inside(areas: torch.Tensor, inside: torch.Tensor) -> set[int]:
    """Numbers with more than half of their area [K] inside, or the one with most there, the lowest where equal."""
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
    """The smallest box around every segment that labels [H, W] hold, by its number: all in one pass."""
    places = ndimage.find_objects(labels.cpu().numpy().astype(np.int32) + 1)  # which takes 0 for nothing
    found = [(number, *place) for number, place in enumerate(places) if place]
    return {number: (x.start, y.start, x.stop, y.stop) for number, y, x in found}


def crop_region(box: Box, factor: float, width: int, height: int) -> Box:
    """The box `factor` (1 or more) times as wide and high about its centre, moved and cut to fit the picture."""
    x1, y1, x2, y2 = box
    x1, x2 = _stretched(x1, x2, factor, width)
    y1, y2 = _stretched(y1, y2, factor, height)
    return x1, y1, x2, y2


def cropped_mask(inside: torch.Tensor, box: Box, region: Box) -> torch.Tensor:
    """The pixels [h, w] bool of a box as a mask of the region around it, float32; zeros outside take no memory yet."""
    (x1, y1, x2, y2), (left, top, right, bottom) = box, region
    mask = empty_masks(bottom - top, right - left)
    np.copyto(mask[y1 - top : y2 - top, x1 - left : x2 - left].numpy(), 1, where=inside.cpu().numpy())
    return mask


def _stretched(start: int, end: int, factor: float, limit: int) -> tuple[int, int]:
    length = min(limit, int((end - start) * factor))
    first = min(max(0, (start + end - length) // 2), limit - length)
    return first, first + length


def _from_json(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        raise ValueError(
            'boxes must be a JSON list such as [{"x": 10, "y": 20, "width": 30, "height": 40}], '
            f"not {shortened(text)}"
        ) from None


def _plain(value: object) -> object:
    """Tuples, arrays and tensors as lists, all the way down."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _for_each_picture(value: object) -> list:
    if not value:
        return [[]]
    boxes = [value] if isinstance(value, dict) or _is_corners(value) else value
    if not isinstance(boxes, list):
        raise ValueError(f"boxes must be a list, not {shortened(str(value))}")
    nested = all(isinstance(each, list) and not _is_corners(each) for each in boxes)
    return boxes if nested else [boxes]


def _parse_box(number: int, box: object, width: int, height: int) -> Box:
    sides = [box.get(side) for side in SIDES] if isinstance(box, dict) else box
    if not _is_corners(sides):
        raise ValueError(
            f'box {number} must look like {{"x": 10, "y": 20, "width": 30, "height": 40}} or [x1, y1, x2, y2], '
            f"not {shortened(str(box))}"
        )
    x1, y1, x2, y2 = sides
    if isinstance(box, dict):
        x2, y2 = x1 + x2, y1 + y2
    x1, y1 = max(0, math.floor(x1)), max(0, math.floor(y1))
    x2, y2 = min(width, math.ceil(x2)), min(height, math.ceil(y2))
    if not (x1 < x2 and y1 < y2):
        raise ValueError(
            f"box {number}, {shortened(str(box))}, holds no pixel of the picture of {width} x {height}; four "
            "numbers are the corners x1, y1, x2, y2 (bbox_format xyxy in KJNodes)"
        )
    return x1, y1, x2, y2


def _is_corners(value: object) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return abs(value) < FAR  # type: ignore[operator]  # Real does not say that its abs can be compared; false for NaN
