"""Picks -> the mask you want, and the picture with it highlighted."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.segments.brush import corrected, has_shape_of
from ...emerdiff_ops.segments.colors import colorize, draw_highlight, palette
from ...emerdiff_ops.segments.edge import edged
from ...emerdiff_ops.segments.labels import unwritten
from ...emerdiff_ops.segments.selection import pixels_of, select
from ..host.folders import input_picture
from ..host.progress import side_by_side
from .belongs import check_belongs, check_kind
from .picks import CHANGED, NUMBERED_APART, Picks, Request, are_numbered_apart
from .shown import Shown, for_the_widget, shown
from .values import Segmentation

NOTHING = "Nothing is selected yet: click segments in the picture, or type their numbers, then run again."
OF_ANOTHER = (
    "The correction by brush was made on another picture, or one of another size, and is left out: clear it, or "
    "correct the mask anew."
)
LEFT_OUT = "Nothing is selected in number {} of the list: nothing behind this node runs for it."


class Selected(NamedTuple):
    """The outputs for one request; mask [B, H, W] and overlay [B, H, W, 3] only where something is selected."""

    mask: Tensor | None
    overlay: Tensor | None
    shown: list[Shown]  # each picture's files for the browser
    entries: list[dict]  # for the click widget, one a picture


def notes_on(asked: list[Request], picks: list[Picks], results: list[Selected]) -> list[str]:
    """Notes on the picks that the user should read before looking at the masks, each once."""
    mistaken = [OF_ANOTHER] * any(entry["mistaken"] for each in results for entry in each.entries)
    changed = [CHANGED.format(each.numbers.made_on) for each in picks if each.numbers.are_old]
    empty = [str(number) for number, each in enumerate(picks, 1) if each.nothing]
    if len(empty) == len(picks):
        return [*dict.fromkeys(changed), NOTHING]
    changed += mistaken
    apart = [NUMBERED_APART] * are_numbered_apart(asked)
    return [*dict.fromkeys(changed), *apart, *([LEFT_OUT.format(", ".join(empty))] * bool(empty))]


def selected(asked: list[Request], picks: list[Picks]) -> list[Selected]:
    """Masks and overlays of all requests, with files and widget data for their pictures in order."""
    asked = [each._replace(image=_checked(each)) for each in asked]
    results = [_nothing_yet(*each) for each in zip(asked, picks)]
    colours = palette(max((each.segmentation.count for each in asked), default=0))
    places = [(which, number) for which, each in enumerate(asked) for number in range(len(each.segmentation.labels))]

    def select_in(place: tuple[int, int]) -> tuple[Shown, dict]:
        which, number = place
        return _select_in(number, asked[which], picks[which], colours, results[which])

    for (which, _), (files, entry) in zip(places, side_by_side(select_in, places, "pictures")):
        results[which].shown.append(files)
        results[which].entries.append(entry)
    return results


def _checked(request: Request) -> Tensor | None:
    segmentation, image = request.segmentation, request.image
    return None if image is None else check_belongs(image, segmentation.labels.shape).cpu()


def _nothing_yet(request: Request, picks: Picks) -> Selected:
    if picks.nothing:
        return Selected(None, None, [], [])
    shape = request.segmentation.labels.shape
    return Selected(unwritten(*shape), unwritten(*shape, 3), [], [])


def _select_in(number: int, request: Request, picks: Picks, colours: Tensor, result: Selected) -> tuple[Shown, dict]:
    """Writes one picture's mask and overlay into the result; returns its files and widget data."""
    labels = request.segmentation.labels[number]
    picture = None if request.image is None else request.image[number]
    files = shown(labels, picture, colours)
    correction = brushed(labels, picks, number, files.mark)
    if result.mask is not None and result.overlay is not None:
        mask = edged(picked(labels, picks, number), request.edge)
        result.mask[number] = mask if correction is None else corrected(mask, correction)
        under = colorize(labels[None], colours)[0] if picture is None else picture
        draw_highlight(under, result.mask[number], result.overlay[number])
    mistaken = picks.corrections[number] is not None and correction is None
    entry = for_the_widget(number, request.segmentation, picks, colours) | files.for_the_widget
    return files, entry | {"mistaken": mistaken}


def brushed(labels: Tensor, picks: Picks, number: int, mark: str) -> Tensor | None:
    """The correction [h, w, 2] of one picture; None where there is none, or it was made on another picture."""
    named = picks.corrections[number]
    if named is None or named.made_on not in (None, mark):
        return None
    correction = input_picture(named.file)
    return correction if has_shape_of(correction, *labels.shape) else None


def picked(labels: Tensor, picks: Picks, number: int) -> Tensor:
    """The pixels [H, W] of what is named and pointed at in one picture, less the segments under negative points."""
    if picks.everywhere is not None:
        return pixels_of(labels, picks.everywhere, picks.invert)
    numbers = [*picks.numbers.lists[number], *picks.boxed[number]]
    parts = picks.numbers.parts[number]
    return select(labels, numbers, picks.positive[number], picks.negative[number], picks.invert, parts)


def picture_under(segmentation, image) -> Tensor:
    """The image the segments belong to, or their colours where none is connected."""
    check_kind(segmentation, Segmentation)
    if image is None:
        return colorize(segmentation.labels)
    return check_belongs(image, segmentation.labels.shape).cpu()
