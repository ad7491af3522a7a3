"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain, islice
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.segments.boxes import parse_boxes_in, select_in_boxes
from ...emerdiff_ops.segments.colors import colorize, draw_highlight, palette
from ...emerdiff_ops.segments.labels import fingerprint, segment_areas
from ...emerdiff_ops.segments.selection import (
    Points,
    parse_lists,
    parse_points_in,
    pixels_of,
    select,
    split_fingerprint,
    under,
)
from ..host.progress import counted
from .checks import check_belongs, check_kind
from .shown import Shown, shown
from .values import Segmentation

NOTHING = "Nothing is selected yet: click segments in the picture, or type their numbers, then run again."
LEFT_OUT = "Nothing is selected in number {} of the list: nothing behind this node runs for it."
CHANGED = (
    "The segmentation has changed since these segments were picked, so their numbers may mean other regions now: "
    "look at the picture, pick anew or keep them. Without the ending @{} nothing is compared."
)


class Request(NamedTuple):
    """What is asked for one element of a list: its segmentation, the picture under it, what to select in it."""

    segmentation: Segmentation
    image: Tensor | None
    selection: str
    positive_points: str
    negative_points: str
    invert: bool
    boxes: object
    every_picture: bool = False  # what is picked in one picture is picked in all


class Numbers(NamedTuple):
    """Typed segment numbers, a list for each picture, and fingerprints: the text's own, and that of now."""

    lists: list[list[int]]
    made_on: str | None
    now: str


class Picks(NamedTuple):
    """What a request picks: numbers typed, numbers in boxes, and points, each a list for each picture.

    Where what is picked in one picture is picked in all, `everywhere` is that, and it alone counts for the mask; the
    rest is what the widget draws, numbers picked elsewhere among those in boxes.
    """

    numbers: Numbers
    boxed: list[list[int]]
    positive: list[Points]
    negative: list[Points]
    invert: bool
    everywhere: set[int] | None = None

    @property
    def nothing(self) -> bool:
        own = any([*self.numbers.lists, *self.boxed, *self.positive, *self.negative])
        return not (own or self.everywhere or self.invert)

    def everywhere_too(self, typed: set[int], chosen: set[int], pointed: list[set[int]]) -> Picks:
        """With what is picked in all pictures; `pointed` is under the points of each picture of its own."""
        lists, elsewhere = [sorted(typed)] * len(pointed), [sorted(chosen - typed - own) for own in pointed]
        return self._replace(numbers=self.numbers._replace(lists=lists), boxed=elsewhere, everywhere=chosen)


class Selected(NamedTuple):
    """What comes out for one request; mask [B, H, W] and overlay [B, H, W, 3] only where something is selected."""

    mask: Tensor | None
    overlay: Tensor | None
    shown: list[Shown]  # what the browser is sent of each picture
    entries: list[dict]  # for the click widget, one a picture


def requests(*inputs: Sequence) -> list[Request]:
    """The node's inputs, a list each, element by element; a shorter list's last value is repeated, as the host does."""
    longest = max(map(len, inputs)) if all(map(len, inputs)) else 0
    return [Request(*(each[min(index, len(each) - 1)] for each in inputs)) for index in range(longest)]


def read_picks(asked: list[Request], one: dict[str, bool]) -> list[Picks]:
    """The requests' texts, read for their segmentations; ValueError where they ask for what is not there.

    `one`: of which of their texts and boxes there is one: it is for the pictures of all requests together, as if they
    were one batch.
    """
    for each in asked:
        check_kind(each.segmentation, Segmentation)
    numbers = [each for group in _groups(asked, one["selection"]) for each in _numbers(group)]
    boxed = [each for group in _groups(asked, one["boxes"]) for each in _in_boxes(group)]
    positive, negative = (
        [each for group in _groups(asked, one[name]) for each in _points(group, name)]
        for name in ("positive_points", "negative_points")
    )
    picks = [Picks(*each) for each in zip(numbers, boxed, positive, negative, [each.invert for each in asked])]
    return everywhere(asked, picks) if any(each.every_picture for each in asked) else picks


def everywhere(asked: list[Request], picks: list[Picks]) -> list[Picks]:
    """What is picked in any of the pictures, picked in all of them: points and boxes mean segments where they lie."""
    typed, boxed = (
        {number for lists in of_all for numbers in lists for number in numbers}
        for of_all in ([each.numbers.lists for each in picks], [each.boxed for each in picks])
    )
    added = [pointed(request, each.positive) for request, each in zip(asked, picks)]
    removed = set().union(*chain(*(pointed(request, each.negative) for request, each in zip(asked, picks))))
    wanted = typed | boxed | set().union(*chain(*added))
    if removed and not wanted:
        wanted = set(range(max(each.segmentation.count for each in asked)))
    return [each.everywhere_too(typed, wanted - removed, own) for each, own in zip(picks, added)]


def pointed(request: Request, points: list[Points]) -> list[set[int]]:
    """Numbers of the segments under the points of each picture."""
    return [under(*each) for each in zip(request.segmentation.labels, points)]


def _groups(asked: list[Request], together: bool) -> list[list[Request]]:
    return [asked] if together and asked else [[each] for each in asked]


def _numbers(group: list[Request]) -> list[Numbers]:
    text, made_on = split_fingerprint(group[0].selection)
    now = fingerprint(*(each.segmentation.labels for each in group))
    counts = [count for each in group for count in each.segmentation.of_each]
    made_on = made_on if text else None
    lists = iter(parse_lists(text, counts, clip=made_on not in (None, now)))
    return [Numbers(list(islice(lists, len(each.segmentation.labels))), made_on, now) for each in group]


def _in_boxes(group: list[Request]) -> list[list[list[int]]]:
    """Numbers of the segments in the boxes: for each request, for each picture."""
    boxes = iter(parse_boxes_in(_sizes(group), group[0].boxes, group[0].every_picture))
    return [
        [select_in_boxes(labels, own) if own else [] for labels, own in zip(each.segmentation.labels, boxes)]
        for each in group
    ]


def _points(group: list[Request], name: str) -> list[list[Points]]:
    """The points of one of their texts: for each request, for each picture."""
    points = iter(parse_points_in(_sizes(group), getattr(group[0], name), group[0].every_picture))
    return [list(islice(points, len(each.segmentation.labels))) for each in group]


def _sizes(group: list[Request]) -> list[tuple[int, int]]:
    """Width and height of every picture."""
    return [(labels.shape[1], labels.shape[0]) for each in group for labels in each.segmentation.labels]


def notes_on(picks: list[Picks]) -> list[str]:
    """What the user should know of the picks before looking at the masks, each thing once."""
    changed = [CHANGED.format(each.numbers.made_on) for each in picks if is_old(each.numbers)]
    empty = [str(number) for number, each in enumerate(picks, 1) if each.nothing]
    if len(empty) == len(picks):
        return [*dict.fromkeys(changed), NOTHING]
    return [*dict.fromkeys(changed), *([LEFT_OUT.format(", ".join(empty))] * bool(empty))]


def is_old(numbers: Numbers) -> bool:
    return numbers.made_on not in (None, numbers.now)


def selected(asked: list[Request], picks: list[Picks]) -> list[Selected]:
    """Masks and overlays of all requests, and what shows their pictures: one picture after another."""
    asked = [each._replace(image=_checked(each)) for each in asked]
    results = [_nothing_yet(*each) for each in zip(asked, picks)]
    colours = palette(max((each.segmentation.count for each in asked), default=0))
    places = [(which, number) for which, each in enumerate(asked) for number in range(len(each.segmentation.labels))]
    for which, number in counted(places, "pictures"):
        _select_in(number, asked[which], picks[which], colours, results[which])
    return results


def _checked(request: Request) -> Tensor | None:
    segmentation, image = request.segmentation, request.image
    return None if image is None else check_belongs(image, segmentation.labels.shape).cpu()


def _nothing_yet(request: Request, picks: Picks) -> Selected:
    if picks.nothing:
        return Selected(None, None, [], [])
    shape = request.segmentation.labels.shape
    return Selected(torch.empty(shape), torch.empty(*shape, 3), [], [])


def _select_in(number: int, request: Request, picks: Picks, colours: Tensor, result: Selected) -> None:
    """What one picture adds to its request's result."""
    labels = request.segmentation.labels[number]
    picture = None if request.image is None else request.image[number]
    files = shown(labels, picture, colours)
    result.shown.append(files)
    result.entries.append(for_the_widget(number, request.segmentation, picks, colours) | files.for_the_widget)
    if result.mask is not None and result.overlay is not None:
        result.mask[number] = picked(labels, picks, number)
        under = colorize(labels[None], colours)[0] if picture is None else picture
        draw_highlight(under, result.mask[number], result.overlay[number])


def picked(labels: Tensor, picks: Picks, number: int) -> Tensor:
    """The pixels [H, W] of the segments named and pointed at in one picture, less those under negative points."""
    if picks.everywhere is not None:
        return pixels_of(labels, picks.everywhere, picks.invert)
    numbers = [*picks.numbers.lists[number], *picks.boxed[number]]
    return select(labels, numbers, picks.positive[number], picks.negative[number], picks.invert)


def picture_under(segmentation, image) -> Tensor:
    """The image the segments belong to, or their colours where none is connected."""
    check_kind(segmentation, Segmentation)
    if image is None:
        return colorize(segmentation.labels)
    return check_belongs(image, segmentation.labels.shape).cpu()


def for_the_widget(number: int, segmentation: Segmentation, picks: Picks, colours: Tensor) -> dict:
    """What the widget of web/js/select_segments.js draws of one picture, without the files."""
    count, labels = segmentation.of_each[number], segmentation.labels[number]
    return {
        "colors": ["#" + bytes(colour).hex() for colour in (colours[:count] * 255).byte().tolist()],
        "areas": segment_areas(labels[None], segmentation.count)[0, :count].tolist(),
        "boxed": picks.boxed[number],
        "used": _used(picks, number),
        "width": labels.shape[1],
        "height": labels.shape[0],
        "fingerprint": picks.numbers.now,
    }


def _used(picks: Picks, number: int) -> dict:
    """The texts that a picture was selected by, its own lists alone: the widget's own may be others, where linked."""
    made_on = picks.numbers.made_on
    positive, negative = (
        json.dumps([{"x": x, "y": y} for x, y in points[number]]) for points in (picks.positive, picks.negative)
    )
    return {
        "selection": ", ".join(map(str, picks.numbers.lists[number])) + (f" @{made_on}" if made_on else ""),
        "positive_points": positive,
        "negative_points": negative,
        "invert": picks.invert,
        "every_picture": picks.everywhere is not None,
    }
