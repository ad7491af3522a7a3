"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from typing import NamedTuple

import torch
from PIL import Image
from torch.nn.functional import interpolate

from ...emerdiff_ops.segments.boxes import parse_boxes, select_in_boxes
from ...emerdiff_ops.segments.colors import colorize, palette
from ...emerdiff_ops.segments.labels import fingerprint, labels_to_rgb, segment_areas
from ...emerdiff_ops.segments.selection import parse_points, parse_selections, select, split_fingerprint
from ..host.folders import save_temp
from .checks import check_belongs, check_kind
from .values import Segmentation

LARGEST_SIDE = 1536  # pixels, of what is sent to the browser; a 4K photograph stays light
NOTHING = "Nothing is selected yet: click segments in the picture, or type their numbers, then run again."
CHANGED = (
    "The segmentation has changed since these segments were picked, so their numbers may mean other regions now: "
    "look at the picture, pick anew or keep them. Without the ending @{} nothing is compared."
)


class Picks(NamedTuple):
    """What the inputs ask for: numbers for each picture, those in boxes too; points for all; an old fingerprint."""

    numbers: list[list[int]]
    positive: list[tuple[int, int]]
    negative: list[tuple[int, int]]
    invert: bool
    old: str | None


def read_picks(
    segmentation: Segmentation, selection="", positive_points="", negative_points="", invert=False, boxes=None
) -> Picks:
    """The inputs, read for this segmentation; ValueError where they ask for what is not there."""
    check_kind(segmentation, Segmentation)
    pictures, height, width = segmentation.labels.shape
    text, made_on = split_fingerprint(selection)
    old = made_on if text and made_on not in (None, fingerprint(segmentation.labels)) else None
    numbers = parse_selections(text, segmentation.count, pictures, clip=old is not None)
    in_boxes = zip(segmentation.labels, parse_boxes(boxes, width, height, pictures))
    numbers = [sorted({*typed, *select_in_boxes(*each)}) for typed, each in zip(numbers, in_boxes)]
    positive, negative = (parse_points(points, width, height) for points in (positive_points, negative_points))
    return Picks(numbers, positive, negative, invert, old)


def notes_on(picks: Picks) -> list[str]:
    """What the user should know of the picks before looking at the mask."""
    return [CHANGED.format(picks.old)] * bool(picks.old) + [NOTHING] * nothing_in(picks)


def nothing_in(picks: Picks) -> bool:
    return not (any(picks.numbers) or picks.positive or picks.negative or picks.invert)


def select_segments(segmentation, picks: Picks) -> torch.Tensor:
    """Union of the segments named and pointed at, less those under negative points: [B, H, W]."""
    chosen = [
        select(labels, numbers, picks.positive, picks.negative, picks.invert)
        for labels, numbers in zip(segmentation.labels, picks.numbers)
    ]
    return torch.stack(chosen)


def picture_under(segmentation, image) -> torch.Tensor:
    """The image the segments belong to, or their colours where none is connected."""
    check_kind(segmentation, Segmentation)
    if image is None:
        return colorize(segmentation.labels)
    return check_belongs(image, segmentation.labels.shape).cpu()


def reduced(pictures: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [B, H, W, 3] and labels [B, H, W], no larger than LARGEST_SIDE."""
    height, width = labels.shape[-2:]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return pictures, labels
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = interpolate(pictures.movedim(-1, 1), size, mode="bilinear", antialias=True).movedim(1, -1)
    return small, interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].to(labels.dtype)


def for_the_browser(segmentation, pictures: torch.Tensor, labels: torch.Tensor) -> list[dict]:
    """What the widget of web/js/select_segments.js draws, one dict a picture; pixels go by way of temporary files.

    `pictures` and `labels` are of the size to draw, the rest is said of the segmentation itself.
    """
    _, height, width = segmentation.labels.shape
    common = {
        "width": width,
        "height": height,
        "fingerprint": fingerprint(segmentation.labels),
        "colors": ["#" + bytes(colour).hex() for colour in (palette(segmentation.count) * 255).byte().tolist()],
    }
    areas = segment_areas(segmentation.labels, segmentation.count).tolist()
    pixels = (pictures * 255).round().clamp(0, 255).byte().cpu(), labels_to_rgb(labels).cpu()
    return [
        common | {"picture": _temp(picture, "jpg"), "labels": _temp(colours, "png"), "areas": covered}
        for picture, colours, covered in zip(*pixels, areas)
    ]


def _temp(pixels: torch.Tensor, ending: str) -> dict[str, str]:
    return save_temp(Image.fromarray(pixels.numpy()), ending)
