"""The one parser of selections, points and boxes, in all forms that people type and other packs write.

docs/compatibility.md has the table of forms. web/js/selection_text.js and points_text.js read the same forms, and
tests/texts.json has the cases for both. Points are (x, y) and boxes (x1, y1, x2, y2) in whole pixels, x2 and y2
exclusive. A semicolon separates pictures, as in "3; 5, 6". Numbers of points and boxes are pixels. If all of them are
in 0..1 and one is not whole, they are shares of the picture's sides.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from numbers import Real
from typing import NamedTuple, TypeGuard

import numpy as np
import torch

from ..errors import shortened

Point = tuple[int, int]
Points = list[Point]
Box = tuple[int, int, int, int]
Size = tuple[int, int]  # width, height

PIECE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
PART = re.compile(r"([0-9]{1,9}):([0-9]{1,9}):([0-9]{1,9})")
FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}")
FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " ", "\u3001": ","}
DASHES = dict.fromkeys("\u2013\u2014\u2212", "-")
TYPED = str.maketrans(DASHES | FULL_WIDTH)
PLAIN = str.maketrans("()'", '[]"')
SIDES = ("x", "y", "width", "height")
CORNERS = (("x1", "y1", "x2", "y2"), ("startX", "startY", "endX", "endY"), ("xmin", "ymin", "xmax", "ymax"))
FAR = 1e9  # pixels; larger numbers are refused
A_POINT = '{"x": 10, "y": 20}'
A_BOX = '{"x": 10, "y": 20, "width": 30, "height": 40} or [x1, y1, x2, y2]'
OF_LABELS = (
    "give the points labelled 1 to positive_points and those labelled 0 to negative_points, each as [[x, y], ...]"
)


class Part(NamedTuple):
    """A connected part of a segment: the one that holds the pixel (x, y). Written "3:120:45"."""

    number: int
    x: int
    y: int

    def __str__(self) -> str:
        return ":".join(map(str, self))


# --- numbers of segments, and their connected parts ---


def split_fingerprint(text: str) -> tuple[str, str | None]:
    """A selection without its ending " @1a2b3c4d", and those digits, the fingerprint of what it was made on."""
    numbers, at, digits = text.rpartition("@")  # not a regular expression: \s*@ takes hours to search many spaces
    if at and FINGERPRINT.fullmatch(digits.strip()):
        return numbers.rstrip(), digits.strip().lower()
    return text, None


def parse_lists(text: str, counts: Sequence[int], clip: bool = False) -> list[list[int | Part]]:
    """Segment numbers and parts for each picture: one list for all, or lists such as "3; ; 5, 6:120:45", one a picture.

    Each list is sorted, numbers first, without repeats. The position of a part is not checked. `counts` has the number
    of segments of each picture. Pictures beyond the lists get none. Raises ValueError for a piece that is neither a
    number, a rising range nor a part, for numbers beyond 0..count-1 and for more lists than pictures. `clip` leaves out
    numbers and lists that do not exist instead.
    """
    parts = _as_typed(text).split(";")
    if any(map(str.strip, parts[len(counts) :])) and not clip:
        raise ValueError(f"selection has {len(parts)} lists (between semicolons), but there are {len(counts)} pictures")
    parts = of_each(parts, len(counts))
    several = len(counts) > 1
    return [
        _picks(part, count, clip, f" in picture {picture}" if several else "")
        for picture, (part, count) in enumerate(zip(parts, counts))
    ]


def of_each(parts: list[str], count: int) -> list[str]:
    """The text for each of `count` pictures: a single part is for all of them; pictures beyond the parts get none."""
    return parts * count if len(parts) == 1 else parts + [""] * (count - len(parts))


def _picks(text: str, count: int, clip: bool, where: str = "") -> list[int | Part]:
    numbers: set[int] = set()
    parts: set[Part] = set()
    for piece in _pieces(text):
        part = PART.fullmatch(piece)
        match = PIECE.fullmatch(part[1] if part else piece)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last or (last >= count and not clip):
            raise ValueError(
                f'"{shortened(piece)}" selects no segments{where}: use numbers and ranges within 0-{count - 1}, such '
                'as "3, 7-9"'
            )
        if not part:
            numbers.update(range(first, min(last, count - 1) + 1))
        elif first < count:
            parts.add(Part(*map(int, part.groups())))
    return [*sorted(numbers), *sorted(parts)]


def _pieces(text: str) -> list[str]:
    """The pieces between commas or spaces, a range as one: "[3, 7 - 9]" gives 3 and 7-9."""
    text = " ".join(text.strip().removeprefix("[").removesuffix("]").split())
    return text.replace("- ", "-").replace(" -", "-").replace(",", " ").split()


def _as_typed(text: str) -> str:
    """Replace full-width characters, dashes, round brackets and single quotes by the plain ones they stand for."""
    return text.translate(TYPED).translate(PLAIN)


# --- points ---


def parse_points_in(sizes: Sequence[Size], text: str, first_alone: bool = False) -> list[Points]:
    """The points (x, y) in each picture of `sizes` (width, height), in pixels, rounded down.

    A point is {"x": 10, "y": 20}, whatever else it holds, or two numbers x, y. `text` has one point or one list for all
    pictures (with `first_alone`, for the first only), or a list for each picture. An empty text has no points. A point
    on the far edge, x = width or y = height, as points editors give it, belongs to the last pixel.
    Raises ValueError for anything else, if lists and pictures differ in number, and for a point outside.
    """
    lists = _for_each(sizes, _lists_of(text, _is_point, "point", A_POINT), "points", first_alone)
    scaled = _are_shares(coordinate for own in lists for point in own for coordinate in _place(point))
    return [
        [_pixel(number, _place(point), size, scaled) for number, point in enumerate(own, 1)]
        for own, size in zip(lists, sizes)
    ]


def _is_point(value: object) -> bool:
    if isinstance(value, dict) and "labels" in value:
        raise ValueError(f"points with labels are of two kinds: {OF_LABELS}")
    return len(_place(value)) == 2


def _place(point: object) -> list[float]:
    """x and y of a point; empty if it is not a point."""
    values = [point.get("x"), point.get("y")] if isinstance(point, dict) else point
    return values if isinstance(values, list) and len(values) == 2 and all(map(_is_number, values)) else []


def _pixel(number: int, place: list[float], size: Size, scaled: bool) -> Point:
    (x, y), (width, height) = place, size
    if scaled:
        x, y = x * width, y * height
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(
            f"point {number} of the list, ({shortened(str(x))}, {shortened(str(y))}), lies outside the image: "
            f"x must be within 0-{width - 1} and y within 0-{height - 1}"
        )
    return min(math.floor(x), width - 1), min(math.floor(y), height - 1)


# --- boxes ---


def parse_boxes_in(sizes: Sequence[Size], value: object, first_alone: bool = False) -> list[list[Box]]:
    """The boxes of each picture of `sizes` (width, height), cut at the borders, fractions rounded outwards.

    `value` is one box or one list of boxes for all pictures (with `first_alone`, for the first only), a list of lists
    with one for each picture, or any of these as text. Tuples, arrays and tensors count as lists. A box is {"x", "y",
    "width", "height"} or two corners by one of the names in CORNERS, whatever else it holds, or four numbers x1, y1,
    x2, y2, optionally followed by a score of 0..1 and a class. None, "" and {} are no box.
    Raises ValueError for anything else, for a box that holds no pixel, and if lists and pictures differ in number.
    """
    try:
        lists = _for_each(sizes, _lists_of(_plain(value), _is_box, "box", A_BOX), "boxes", first_alone)
        scaled = _are_shares(side for own in lists for box in own for side in _sides(box))
        return [
            [_cut(number, box, size, scaled) for number, box in enumerate(own, 1)] for own, size in zip(lists, sizes)
        ]
    except RecursionError:  # from parsing, or from an error message
        raise ValueError("boxes are lists within lists without end; give a list of boxes for each picture") from None


def _is_box(value: object) -> bool:
    if isinstance(value, dict) and not _form_of(value) and {"bbox", "boxes"} & set(value):
        raise ValueError(
            f'"bbox" in {shortened(str(value))} has two meanings, the corners x1, y1, x2, y2 and x, y, width, height: '
            f"write a box as {A_BOX}"
        )
    return bool(_sides(value))


def _form_of(box: dict) -> tuple[str, ...]:
    """The names of the four numbers of a box; empty if it is not a box."""
    return next((names for names in (SIDES, *CORNERS) if all(_is_number(box.get(name)) for name in names)), ())


def _sides(box: object) -> list[float]:
    """The four numbers of a box; empty if it is not a box."""
    if isinstance(box, dict):
        return [box[name] for name in _form_of(box)]
    if not isinstance(box, list) or not 4 <= len(box) <= 6 or not all(map(_is_number, box)):
        return []
    return box[:4] if len(box) == 4 or 0 <= box[4] <= 1 else []


def _cut(number: int, box: object, size: Size, scaled: bool) -> Box:
    (width, height), (x1, y1, x2, y2) = size, _sides(box)
    if isinstance(box, dict) and _form_of(box) == SIDES:
        x2, y2 = x1 + x2, y1 + y2
    elif isinstance(box, dict):  # drawn from any corner
        (x1, x2), (y1, y2) = sorted([x1, x2]), sorted([y1, y2])
    across, down = size if scaled else (1, 1)
    left, top = max(0, math.floor(x1 * across)), max(0, math.floor(y1 * down))
    right, bottom = min(width, math.ceil(x2 * across)), min(height, math.ceil(y2 * down))
    if not (left < right and top < bottom):
        raise ValueError(
            f"box {number}, {shortened(str(box))}, holds no pixel of the picture of {width} x {height}; four "
            "numbers are the corners x1, y1, x2, y2 (bbox_format xyxy in KJNodes)"
        )
    return left, top, right, bottom


# --- what points and boxes have in common ---


def _lists_of(value: object, is_one: Callable[[object], bool], what: str, example: str) -> list[list]:
    """The lists of points or boxes: a single one for all pictures, or one for each."""
    if isinstance(value, str):
        read = [_read(part, what, example) for part in _parts(value)]
        return [own for part in read for own in _sorted_out(part, is_one, what, example)]
    return _sorted_out(value, is_one, what, example)


def _parts(text: str) -> list[str]:
    """The text if it is JSON, else its pieces between semicolons."""
    with suppress(ValueError, RecursionError):
        json.loads(text)
        return [text]
    return _as_typed(text).split(";")


def _read(text: str, what: str, example: str) -> object:
    """Parse JSON, or a typed form without outer brackets or with spaces for commas. None for an empty text."""
    if text.strip() in ("", '""'):  # some editors write "" for none
        return None
    for form in (text, f"[{text}]", f"[{', '.join(text.replace(',', ' ').split())}]"):
        with suppress(ValueError, RecursionError):
            return json.loads(form)
    raise ValueError(f"a {what} must look like {example}, or be in a list of such, not {shortened(text)}")


def _sorted_out(value: object, is_one: Callable[[object], bool], what: str, example: str) -> list[list]:
    """One thing, a list of them, or a list of such lists, as a list of lists without {}."""
    if not value and not isinstance(value, (int, float)):
        return [[]]
    if is_one(value):
        return [[value]]
    many: list = value if isinstance(value, list) else [value]
    nested = all(isinstance(each, list) and not is_one(each) for each in many)
    lists = [[each for each in own if each != {}] for own in (many if nested else [many])]
    for own in lists:
        for number, each in enumerate(own, 1):
            if not is_one(each):
                raise ValueError(_no_such_thing(number, each, many, what, example))
    return lists


def _no_such_thing(number: int, one: object, many: list, what: str, example: str) -> str:
    if _is_number(one) and len(many) == 4:  # only points: as a box, four numbers are valid
        return f"{shortened(str(many))} has two meanings, two points and a box: write points as [[10, 20], [30, 40]]"
    return f"{what} {number} of the list must look like {example}, not {shortened(str(one))}"


def _for_each(sizes: Sequence[Size], lists: list[list], what: str, first_alone: bool) -> list[list]:
    """A list for each picture; a single one serves all of them, or with `first_alone` the first only."""
    if len(lists) == 1:
        lists = lists + ([[]] if first_alone else lists) * (len(sizes) - 1)
    if len(lists) != len(sizes):
        raise ValueError(
            f"there are {what} for {len(lists)} pictures, but {len(sizes)} pictures: give one list for each; a "
            "semicolon parts pictures"
        )
    return lists


def _are_shares(numbers: Iterable[float]) -> bool:
    """Whether these are shares of the picture's sides, not pixels: all within 0..1, and one not whole."""
    every = list(numbers)
    return all(0 <= each <= 1 for each in every) and any(each != int(each) for each in every)


def _plain(value: object) -> object:
    """Convert tuples, arrays and tensors to lists, at every depth."""
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _is_number(value: object) -> TypeGuard[float]:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return abs(value) < FAR  # type: ignore[operator]  # Real does not say that its abs can be compared; false for NaN
