"""masks -> the mask you want: by segment numbers and by points."""

import torch
from comfy_api.latest import io, ui

from ..emerdiff_ops.colors import colorize, highlight, overlay
from ..emerdiff_ops.labels import parse_points, parse_selection, select
from . import host
from .types import SegmentationType


def select_segments(segmentation, selection="", positive_points="", negative_points="", invert=False) -> torch.Tensor:
    """Union of the segments named and pointed at, less those under negative points: [B, H, W]."""
    height, width = segmentation.labels.shape[-2:]
    numbers = parse_selection(selection, segmentation.count)
    positive = parse_points(positive_points, width, height)
    negative = parse_points(negative_points, width, height)
    if not (numbers or positive or negative or invert):
        raise ValueError(
            'nothing is selected: type segment numbers such as "3, 7-9" into selection '
            f"(0 to {segmentation.count - 1}; the numbers stand in the segmenting node's preview), or give points"
        )
    return torch.stack([select(labels, numbers, positive, negative, invert) for labels in segmentation.labels])


def picture_under(segmentation, image) -> torch.Tensor:
    """The image the segments belong to, or their colours where none is connected."""
    if image is None:
        return colorize(segmentation.labels)
    image = image[..., :3].float().cpu()
    if image.shape[:3] != segmentation.labels.shape:
        count, height, width = segmentation.labels.shape
        raise ValueError(
            f"image is {tuple(image.shape[:3])}, but the segmentation is of {count} pictures of {width} x {height}; "
            "connect the image that was segmented, or none"
        )
    return image


class EmerDiffSelectSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectSegments",
            display_name="EmerDiff Select Segments",
            category="EmerDiff",
            description="Pick segments by number or by points and get one mask, ready for inpainting.",
            search_aliases=["pick mask", "choose segment", "mask by index", "mask by point", "click mask"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input("image", optional=True, tooltip="The segmented picture, for the overlay only."),
                io.String.Input(
                    "selection",
                    default="",
                    tooltip='Segment numbers as shown in the previews, such as "3, 7-9".',
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
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="1 inside the selection, exactly the picture's size."),
                io.Image.Output(display_name="overlay", tooltip="The picture with the selection highlighted."),
            ],
        )

    @classmethod
    def execute(
        cls, segmentation, selection="", positive_points="", negative_points="", invert=False, image=None
    ) -> io.NodeOutput:
        picture = picture_under(segmentation, image)
        mask = select_segments(segmentation, selection, positive_points, negative_points, invert)
        preview = ui.PreviewImage(overlay(picture, segmentation.labels))
        return io.NodeOutput(host.to_output(mask), host.to_output(highlight(picture, mask)), ui=preview)
