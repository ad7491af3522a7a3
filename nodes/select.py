"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from typing import NamedTuple

import torch
from comfy_api.latest import io, ui
from PIL import Image
from torch.nn.functional import interpolate

from ..emerdiff_ops.boxes import parse_boxes, select_in_boxes
from ..emerdiff_ops.colors import colorize, highlight, overlay, palette
from ..emerdiff_ops.labels import (
    fingerprint,
    labels_to_rgb,
    parse_points,
    parse_selections,
    segment_areas,
    select,
    split_fingerprint,
)
from . import host, inputs
from .types import SegmentationType

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


def read_picks(segmentation, selection="", positive_points="", negative_points="", invert=False, boxes=None) -> Picks:
    """The inputs, read for this segmentation; ValueError where they ask for what is not there."""
    pictures, height, width = segmentation.labels.shape
    text, made_on = split_fingerprint(selection)
    old = made_on if text and made_on not in (None, fingerprint(segmentation.labels)) else None
    numbers = parse_selections(text, segmentation.count, pictures, clip=old is not None)
    in_boxes = zip(segmentation.labels, parse_boxes(boxes, width, height, pictures))
    numbers = [sorted({*typed, *select_in_boxes(*each)}) for typed, each in zip(numbers, in_boxes)]
    positive, negative = (parse_points(points, width, height) for points in (positive_points, negative_points))
    return Picks(numbers, positive, negative, invert, old)


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
    if image is None:
        return colorize(segmentation.labels)
    inputs.check_belongs(image, segmentation.labels.shape)
    return image[..., :3].float().cpu()


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
    return host.save_temp(Image.fromarray(pixels.numpy()), ending)


class EmerDiffSelectSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectSegments",
            display_name="EmerDiff Select Segments",
            category="EmerDiff",
            description="Pick segments by clicking in the picture, by number or by points: one mask, for inpainting.",
            search_aliases=["pick mask", "choose segment", "mask by index", "mask by point", "click mask"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input("image", optional=True, tooltip="The segmented picture, to click in."),
                io.String.Input(
                    "selection",
                    default="",
                    tooltip='What clicking writes: segment numbers such as "3, 7-9"; "3; 5" for pictures of a batch.',
                ),
                io.String.Input(
                    "positive_points",
                    default="",
                    tooltip='Segments under these points are added: [{"x": 10, "y": 20}], in pixels.',
                ),
                io.String.Input(
                    "negative_points",
                    default="",
                    tooltip="Segments under these points are taken away, same format.",
                ),
                io.Boolean.Input("invert", default=False, tooltip="Select everything else instead."),
                io.MultiType.Input(
                    "boxes",
                    types=[io.BoundingBox, io.Custom("BBOX")],
                    optional=True,
                    tooltip="Segments that lie mostly in these boxes are added. From detectors and points editors: one "
                    "box, a list, or a list for each picture.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="1 inside the selection, exactly the picture's size."),
                io.Image.Output(display_name="overlay", tooltip="The picture with the selection highlighted."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,  # so that the picture to click in appears before anything is connected
        )

    @classmethod
    def execute(
        cls, segmentation, selection="", positive_points="", negative_points="", invert=False, image=None, boxes=None
    ) -> io.NodeOutput:
        picture = picture_under(segmentation, image)
        picks = read_picks(segmentation, selection, positive_points, negative_points, invert, boxes)
        notes = [CHANGED.format(picks.old)] * bool(picks.old) + [NOTHING] * nothing_in(picks)
        host.say(cls.hidden, notes)
        small = reduced(picture, segmentation.labels)
        shown = ui.PreviewImage(overlay(*small)).as_dict()
        shown |= {"emerdiff_segments": for_the_browser(segmentation, *small), "text": notes}
        if nothing_in(picks):
            return io.NodeOutput(*2 * [host.ExecutionBlocker(None)], ui=shown)  # None: silently
        mask = select_segments(segmentation, picks)
        return io.NodeOutput(host.to_output(mask), host.to_output(highlight(picture, mask)), ui=shown)
