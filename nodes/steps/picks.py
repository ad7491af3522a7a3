"""Requests -> picks: what the texts, points and boxes of Select Segments name in its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.segments.boxes import select_in_boxes
from ...emerdiff_ops.segments.brush import Correction, parse_corrections
from ...emerdiff_ops.segments.edge import Edge
from ...emerdiff_ops.segments.labels import fingerprint
from ...emerdiff_ops.segments.regions import is_part
from ...emerdiff_ops.segments.selection import under
from ...emerdiff_ops.segments.texts import Part, Points, parse_boxes_in, parse_lists, parse_points_in, split_fingerprint
from .belongs import check_kind
from .values import Segmentation

CHANGED = (
    "The segmentation has changed since these segments were picked, so their numbers may mean other regions now: "
    "look at the picture, pick anew or keep them. Without the ending @{} nothing is compared."
)
NUMBERED_APART = (
    "every_picture is on, but a number may mean another thing in each of these pictures: turn on shared_clusters, or "
    "connect a reference, in the node that clusters, and split no parts."
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
    every_picture: bool = False  # a pick in one picture counts in all
    grow: int = 0
    feather: float = 0.0
    fill_holes: bool = False
    correction: str = ""  # files of the input folder

    @property
    def edge(self) -> Edge:
        """How the mask's edge is changed."""
        return Edge(self.grow, self.feather, self.fill_holes)


class Together(NamedTuple):
    """Which inputs have one value for all requests: it applies to all their pictures as if they were one batch."""

    selection: bool
    positive_points: bool
    negative_points: bool
    boxes: bool
    correction: bool


NO_PART = (
    '"{}" is no part of picture {} of {} x {}: a part is segment:x:y, and the pixel (x, y) must be one of the segment; '
    "click it anew"
)


class Numbers(NamedTuple):
    """Typed segment numbers and connected parts, a list of each for each picture, and fingerprints.

    `made_on` is the text's fingerprint, `now` the current one; `gone` are old segmentations' parts that exist no more.
    """

    lists: list[list[int]]
    parts: list[list[Part]]
    gone: list[list[Part]]
    made_on: str | None
    now: str

    @property
    def are_old(self) -> bool:
        """Whether they were made on another segmentation."""
        return self.made_on not in (None, self.now)


class Picks(NamedTuple):
    """What a request picks: numbers typed, numbers in boxes, and points, each a list for each picture.

    Where a pick in one picture counts in all, `everywhere` holds all picks, and the mask depends on it alone. The rest
    is for the widget to draw; it has numbers picked in other pictures among those in boxes.
    """

    numbers: Numbers
    boxed: list[list[int]]
    positive: list[Points]
    negative: list[Points]
    corrections: list[Correction | None]
    invert: bool
    everywhere: set[int] | None = None

    @property
    def nothing(self) -> bool:
        own = any(
            [*self.numbers.lists, *self.numbers.parts, *self.boxed, *self.positive, *self.negative, *self.corrections]
        )
        return not (own or self.everywhere or self.invert)

    def everywhere_too(self, typed: set[int], chosen: set[int], pointed: list[set[int]]) -> Picks:
        """The picks with `chosen` picked in all pictures; `pointed` is what lies under each picture's own points."""
        lists, elsewhere = [sorted(typed)] * len(pointed), [sorted(chosen - typed - own) for own in pointed]
        numbers = self.numbers._replace(lists=lists, parts=[[]] * len(pointed))
        return self._replace(numbers=numbers, boxed=elsewhere, everywhere=chosen)


def requests(*inputs: Sequence) -> list[Request]:
    """The elements of the node's input lists as requests; a shorter list repeats its last value, as the host does."""
    longest = max(map(len, inputs)) if all(map(len, inputs)) else 0
    return [Request(*(each[min(index, len(each) - 1)] for each in inputs)) for index in range(longest)]


def read_picks(asked: list[Request], together: Together) -> list[Picks]:
    """Reads the requests' texts for their segmentations; ValueError where they name what does not exist."""
    for each in asked:
        check_kind(each.segmentation, Segmentation)
    numbers = [
        each
        for group in _groups(asked, together.selection)
        for each in numbers_of(group[0].selection, [one.segmentation for one in group])
    ]
    boxed = [each for group in _groups(asked, together.boxes) for each in _in_boxes(group)]
    positive, negative = (
        [each for group in _groups(asked, getattr(together, name)) for each in _points(group, name)]
        for name in ("positive_points", "negative_points")
    )
    corrections = [each for group in _groups(asked, together.correction) for each in _corrections(group)]
    inverted = [each.invert for each in asked]
    picks = [Picks(*each) for each in zip(numbers, boxed, positive, negative, corrections, inverted)]
    return everywhere(asked, picks) if any(each.every_picture for each in asked) else picks


def everywhere(asked: list[Request], picks: list[Picks]) -> list[Picks]:
    """Picks in all pictures what is picked in any. Points and boxes mean the segments in their own picture."""
    typed, boxed = (
        {number for lists in of_all for numbers in lists for number in numbers}
        for of_all in ([whole(each.numbers) for each in picks], [each.boxed for each in picks])
    )
    added = [pointed(request, each.positive) for request, each in zip(asked, picks)]
    removed = set().union(*chain(*(pointed(request, each.negative) for request, each in zip(asked, picks))))
    wanted = typed | boxed | set().union(*chain(*added))
    if removed and not wanted:
        wanted = set(range(max(each.segmentation.count for each in asked)))
    return [each.everywhere_too(typed, wanted - removed, own) for each, own in zip(picks, added)]


def whole(numbers: Numbers) -> list[set[int]]:
    """Numbers of each picture's picks; a part counts as its segment."""
    return [{*own, *(part.number for part in parts)} for own, parts in zip(numbers.lists, numbers.parts)]


def are_numbered_apart(asked: list[Request]) -> bool:
    """Whether a pick in one picture counts in others whose numbers are not known to mean the same."""
    several = sum(len(each.segmentation.labels) for each in asked) > 1
    numberings = {each.segmentation.numbering for each in asked}
    return several and any(each.every_picture for each in asked) and (len(numberings) > 1 or None in numberings)


def pointed(request: Request, points: list[Points]) -> list[set[int]]:
    """Numbers of the segments under the points of each picture."""
    return [under(*each) for each in zip(request.segmentation.labels, points)]


def _groups(asked: list[Request], together: bool) -> list[list[Request]]:
    return [asked] if together and asked else [[each] for each in asked]


def numbers_of(selection: str, segmentations: list[Segmentation]) -> list[Numbers]:
    """What a text names in segmentations. Where it was made on others, only what exists in these."""
    text, made_on = split_fingerprint(selection)
    now = fingerprint(*(each.labels for each in segmentations))
    counts = [count for each in segmentations for count in each.of_each]
    made_on = made_on if text else None
    are_old = made_on not in (None, now)
    lists = iter(parse_lists(text, counts, clip=are_old))
    return [_numbers_in(each, list(islice(lists, len(each.labels))), are_old, made_on, now) for each in segmentations]


def _numbers_in(segmentation: Segmentation, lists: list, are_old: bool, made_on: str | None, now: str) -> Numbers:
    numbers = [[each for each in own if not isinstance(each, Part)] for own in lists]
    parts = [[each for each in own if isinstance(each, Part)] for own in lists]
    gone = [[part for part in own if not is_part(labels, part)] for own, labels in zip(parts, segmentation.labels)]
    for picture, own in enumerate(gone):
        if own and not are_old:
            height, width = segmentation.labels.shape[1:]
            raise ValueError(NO_PART.format(own[0], picture, width, height))
    there = [[part for part in own if part not in lost] for own, lost in zip(parts, gone)]
    return Numbers(numbers, there, gone, made_on, now)


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


def _corrections(group: list[Request]) -> list[list[Correction | None]]:
    """The file that corrects each picture, for each request."""
    files = iter(parse_corrections(group[0].correction, len(_sizes(group))))
    return [list(islice(files, len(each.segmentation.labels))) for each in group]


def files_of(texts: Iterable[str]) -> list[str]:
    """The files that texts of corrections name."""
    named = (each for text in texts for each in parse_corrections(text, 1 + text.count(";")))
    return [each.file for each in named if each]


def _sizes(group: list[Request]) -> list[tuple[int, int]]:
    """Width and height of every picture."""
    return [(labels.shape[1], labels.shape[0]) for each in group for labels in each.segmentation.labels]
