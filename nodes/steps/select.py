"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...emerdiff_ops.segments.boxes import parse_boxes_in, select_in_boxes
from ...emerdiff_ops.segments.colors import colorize, highlight, overlay, palette
from ...emerdiff_ops.segments.labels import fingerprint, labels_to_rgb, segment_areas
from ...emerdiff_ops.segments.selection import (
    Points,
    mask_of,
    parse_lists,
    parse_points_in,
    select,
    split_fingerprint,
    under,
)
from ..host.folders import save_temp
from .checks import check_belongs, check_kind
from .values import Segmentation

LARGEST_SIDE = 1536  # pixels, of what is sent to the browser; a 4K photograph stays light
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
    numbered: Iterator[Tensor]  # the pictures with their segments' numbers, to be looked at, [1, H, W, 3] each
    entries: list[dict]  # for the click widget


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
    return [[select_in_boxes(*pair) for pair in zip(each.segmentation.labels, boxes)] for each in group]


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


def selected(request: Request, picks: Picks) -> Selected:
    """One request's mask and overlay, and what shows its pictures."""
    segmentation = request.segmentation
    picture = picture_under(segmentation, request.image)
    small = reduced(picture, segmentation.labels)
    mask = None if picks.nothing else select_segments(segmentation, picks)
    highlighted = None if mask is None else highlight(picture, mask)
    numbered = (overlay(*one) for one in zip(*(each.split(1) for each in small)))
    return Selected(mask, highlighted, numbered, for_the_browser(request, picks, *small))


def select_segments(segmentation, picks: Picks) -> Tensor:
    """Union of the segments named and pointed at, less those under negative points: [B, H, W]."""
    if picks.everywhere is not None:
        return mask_of(segmentation.labels, picks.everywhere, picks.invert)
    chosen = [
        select(labels, [*typed, *boxed], positive, negative, picks.invert)
        for labels, typed, boxed, positive, negative in zip(
            segmentation.labels, picks.numbers.lists, picks.boxed, picks.positive, picks.negative
        )
    ]
    return torch.stack(chosen)


def picture_under(segmentation, image) -> Tensor:
    """The image the segments belong to, or their colours where none is connected."""
    check_kind(segmentation, Segmentation)
    if image is None:
        return colorize(segmentation.labels)
    return check_belongs(image, segmentation.labels.shape).cpu()


def reduced(pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, H, W, 3] and labels [B, H, W], no larger than LARGEST_SIDE."""
    height, width = labels.shape[-2:]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return pictures, labels
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = interpolate(pictures.movedim(-1, 1), size, mode="bilinear", antialias=True).movedim(1, -1)
    return small, interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].to(labels.dtype)


def for_the_browser(request: Request, picks: Picks, pictures: Tensor, labels: Tensor) -> list[dict]:
    """What the widget of web/js/select_segments.js draws, one dict a picture; pixels go by way of temporary files.

    `pictures` and `labels` are of the size to draw, the rest is said of the segmentation itself.
    """
    segmentation = request.segmentation
    _, height, width = segmentation.labels.shape
    common = {
        "width": width,
        "height": height,
        "fingerprint": picks.numbers.now,
    }
    colors = ["#" + bytes(colour).hex() for colour in (palette(segmentation.count) * 255).byte().tolist()]
    areas = segment_areas(segmentation.labels, segmentation.count).tolist()
    files = [
        {"picture": save_temp(in_bytes(picture), "jpg"), "labels": save_temp(labels_to_rgb(own), "png")}
        for picture, own in zip(pictures, labels)
    ]
    each = zip(files, segmentation.of_each, areas, picks.boxed)
    return [
        {"colors": colors[:count], "areas": covered[:count], "boxed": boxed, "used": _used(picks, number)}
        | common
        | own
        for number, (own, count, covered, boxed) in enumerate(each)
    ]


def in_bytes(picture: Tensor) -> Tensor:
    """A picture [H, W, 3] in 0..1 as uint8."""
    return (picture * 255).round().clamp(0, 255).byte()


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
