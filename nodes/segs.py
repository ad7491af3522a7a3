"""segmentation -> SEGS, as the Impact Pack's detailers take them, without that pack."""

from typing import NamedTuple

from comfy_api.latest import io
from torch import Tensor

from ..emerdiff_ops.boxes import Box, box_around, crop_region
from ..emerdiff_ops.labels import parse_selections, split_fingerprint
from . import inputs
from .types import SegmentationType


class SEG(NamedTuple):
    """One region as the Impact Pack reads it, by these names and in this order; boxes are (x1, y1, x2, y2)."""

    cropped_image: Tensor | None  # [1, h, w, 3]
    cropped_mask: object  # numpy [h, w] float32, what the crop region holds of the mask
    confidence: float
    crop_region: Box
    bbox: Box
    label: str
    control_net_wrapper: object = None


def to_segs(labels: Tensor, picture: Tensor | None, numbers, crop_factor: float, min_area: float):
    """((H, W), [SEG, ...]) of the segments `numbers` of labels [H, W] that cover `min_area` of it or more."""
    masks = ((number, labels == number) for number in numbers)
    large = ((number, mask, box_around(mask)) for number, mask in masks if mask.sum() >= min_area * mask.numel())
    return tuple(labels.shape), [
        to_seg(mask, box, picture, crop_factor, str(number)) for number, mask, box in large if box
    ]


def to_seg(mask: Tensor, box: Box, picture: Tensor | None, crop_factor: float, label: str) -> SEG:
    height, width = mask.shape
    x1, y1, x2, y2 = region = crop_region(box, crop_factor, width, height)
    cropped_image = None if picture is None else picture[None, y1:y2, x1:x2, :3].float().cpu().clone()
    cropped_mask = mask[y1:y2, x1:x2].float().cpu().numpy()
    return SEG(cropped_image, cropped_mask, 1.0, region, box, label)


class EmerDiffToSEGS(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffToSEGS",
            display_name="EmerDiff To SEGS",
            category="EmerDiff",
            description="Segments as SEGS, for the Impact Pack's detailers, filters and previews.",
            search_aliases=["segs", "impact pack", "detailer", "segmentation to segs", "masks to segs"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The segmented picture, for nodes that show or paste its crops; detailers cut their own.",
                ),
                io.String.Input(
                    "selection", default="", tooltip='Segment numbers, such as "3, 7-9"; empty = all segments.'
                ),
                io.Float.Input(
                    "crop_factor",
                    default=3.0,
                    min=1.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How much of its surroundings a segment is shown in: the crop is this many times as wide "
                    "and high as the segment's box, within the picture.",
                ),
                io.Float.Input(
                    "min_area",
                    default=0.001,
                    min=0.0,
                    max=0.5,
                    step=0.001,
                    round=0.0001,
                    tooltip="Segments smaller than this fraction of the picture are left out, named or not.",
                ),
            ],
            outputs=[
                io.Custom("SEGS").Output(
                    display_name="segs",
                    is_output_list=True,
                    tooltip="One SEG per segment, its label the segment's number. A batch gives one SEGS per picture.",
                )
            ],
        )

    @classmethod
    def execute(cls, segmentation, selection="", crop_factor=3.0, min_area=0.001, image=None) -> io.NodeOutput:
        pictures = check_pictures(segmentation, image)
        every = list(range(segmentation.count))
        text, _ = split_fingerprint(selection)
        picked = parse_selections(text, segmentation.count, len(pictures)) if text.strip() else [every] * len(pictures)
        return io.NodeOutput(
            [
                to_segs(labels, picture, numbers, crop_factor, min_area)
                for labels, picture, numbers in zip(segmentation.labels, pictures, picked, strict=True)
            ]
        )


def check_pictures(segmentation, image) -> list[Tensor | None]:
    """The picture of each label map, None where none is connected."""
    if image is None:
        return [None] * len(segmentation.labels)
    inputs.check_belongs(image, segmentation.labels.shape)
    return list(image)
