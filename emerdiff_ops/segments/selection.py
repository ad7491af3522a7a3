"""Selecting segments: numbers, points and a fingerprint in the texts that users type, and the mask that they mean.

labels [H, W] int16, numbers 0..count-1. Points are (x, y) in whole pixels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence

import torch

from ..errors import shortened

Points = list[tuple[int, int]]  # (x, y) each

PIECE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")
FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}")


def split_fingerprint(text: str) -> tuple[str, str | None]:
    """A selection without its ending " @1a2b3c4d", and those digits: the fingerprint of what it was made on."""
    numbers, at, digits = text.rpartition("@")  # not a regular expression: \s*@ takes hours to search many spaces
    if at and FINGERPRINT.fullmatch(digits.strip()):
        return numbers.rstrip(), digits.strip().lower()
    return text, None


def parse_selections(text: str, count: int, pictures: int, clip: bool = False) -> list[list[int]]:
    """Segment numbers for each picture of a batch: parse_lists for pictures that all have `count` segments."""
    return parse_lists(text, [count] * pictures, clip)


def parse_lists(text: str, counts: Sequence[int], clip: bool = False) -> list[list[int]]:
    """Segment numbers for each picture: one list for all, or lists such as "3; ; 5, 6", one a picture.

    `counts` says how many segments each picture has. Pictures beyond the lists get none. With `clip`, numbers and
    lists that do not exist are left out. Raises ValueError as parse_selection does, and for more lists than pictures.
    """
    parts = text.split(";")
    if len(parts) == 1:
        return [parse_selection(text, count, clip) for count in counts]
    if any(map(str.strip, parts[len(counts) :])) and not clip:
        raise ValueError(f"selection has {len(parts)} lists (between semicolons), but there are {len(counts)} pictures")
    parts += [""] * (len(counts) - len(parts))
    return [parse_selection(part, count, clip) for part, count in zip(parts, counts)]


def parse_selection(text: str, count: int, clip: bool = False) -> list[int]:
    """Segment numbers of a text such as "3, 7-9", sorted, each once; nothing for an empty text.

    Raises ValueError for a piece that is neither a number nor a rising range, and for numbers beyond 0..count-1,
    which `clip` leaves out instead.
    """
    numbers: set[int] = set()
    for piece in filter(str.strip, text.split(",")):
        match = PIECE.fullmatch(piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last or (last >= count and not clip):
            raise ValueError(
                f'"{shortened(piece.strip())}" selects no segments: '
                f'use numbers and ranges within 0-{count - 1}, such as "3, 7-9"'
            )
        numbers.update(range(first, min(last, count - 1) + 1))
    return sorted(numbers)


def parse_points(text: str, width: int, height: int) -> Points:
    """The points of one picture: `parse_points_in` for a picture of `width` x `height`."""
    return parse_points_in([(width, height)], text)[0]


def parse_points_in(sizes: Sequence[tuple[int, int]], text: str, first_alone: bool = False) -> list[Points]:
    """The points (x, y) in each picture of `sizes` (width, height), in pixels, rounded down.

    `text` is JSON: `[{"x": 10, "y": 20.5}]` for every picture, or with `first_alone` for the first, or a list of such
    lists with one for each picture; nothing for an empty text. A point on the far edge, x = width or y = height, as
    points editors give it, belongs to the last pixel.
    Raises ValueError when the text is neither, for lists of other than all pictures, and for a point outside.
    """
    try:
        points = [] if text.strip() in ("", '""') else json.loads(text)  # some editors write "" for none
    except (ValueError, RecursionError):
        points = None
    if not isinstance(points, list):
        raise ValueError(f'points must be a JSON list such as [{{"x": 10, "y": 20}}], not {shortened(text)}')
    others = [[]] if first_alone else [points]
    nested = points and all(isinstance(each, list) for each in points)
    lists = points if nested else [points] + others * (len(sizes) - 1)
    if len(lists) != len(sizes):
        raise ValueError(
            f"there are points for {len(lists)} pictures, but {len(sizes)} pictures: give one list for each"
        )
    return [
        [_parse_point(number, point, *size) for number, point in enumerate(own, 1)] for own, size in zip(lists, sizes)
    ]


def select(
    labels: torch.Tensor,
    numbers: Iterable[int],
    positive: Iterable[tuple[int, int]],
    negative: Iterable[tuple[int, int]],
    invert: bool = False,
) -> torch.Tensor:
    """The pixels [H, W] bool of the segments in `numbers` and under `positive` points, less those under `negative`.

    With nothing but negative points: everything except their segments. `invert` exchanges the two at the end.
    """
    removed = under(labels, negative)
    wanted = set(numbers) | under(labels, positive)
    if removed and not wanted:
        wanted = set(labels.unique().tolist())
    return pixels_of(labels, wanted - removed, invert)


def under(labels: torch.Tensor, points: Iterable[tuple[int, int]]) -> set[int]:
    """Numbers of the segments in labels [H, W] under the points."""
    return {int(labels[y, x]) for x, y in points}


def pixels_of(labels: torch.Tensor, numbers: set[int], invert: bool = False) -> torch.Tensor:
    """True where labels [...] are among the numbers; `invert` exchanges the two."""
    table = torch.full((1 + max([int(labels.max()), *numbers]),), invert, device=labels.device)
    table[sorted(numbers)] = not invert
    return table.index_select(0, labels.flatten().int()).view(labels.shape)


def _parse_point(number: int, point: object, width: int, height: int) -> tuple[int, int]:
    values = [point.get("x"), point.get("y")] if isinstance(point, dict) else []
    place = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(place) != 2:
        raise ValueError(f'point {number} of the list must look like {{"x": 10, "y": 20}}')
    x, y = place
    if not (0 <= x <= width and 0 <= y <= height):  # false for NaN too
        raise ValueError(
            f"point {number} of the list, ({shortened(str(x))}, {shortened(str(y))}), lies outside the image: "
            f"x must be within 0-{width - 1} and y within 0-{height - 1}"
        )
    return min(math.floor(x), width - 1), min(math.floor(y), height - 1)
