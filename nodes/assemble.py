"""difference maps -> masks: smooth, compare at the image's exact size, tidy up (paper, sec. 3)."""

import torch
from comfy_api.latest import io, ui

from ..emerdiff_ops.colors import colorize, overlay
from ..emerdiff_ops.difference import gaussian_smooth
from ..emerdiff_ops.labels import assign, labels_to_masks, remove_small_regions
from . import host
from .types import DifferenceMapsType, Segmentation, SegmentationType


def assemble_masks(difference_maps, smoothing=1.0, min_area=0.0, normalize=False) -> Segmentation:
    """label(x, y) = argmax_i d_i(x, y), one label map [H, W] per image."""
    labels = []
    for maps in difference_maps.difference:  # [K, H, W]
        host.throw_if_cancelled()
        smooth = gaussian_smooth(maps, smoothing)
        if normalize:
            smooth = smooth / smooth.amax((1, 2), keepdim=True).clamp_min(1e-8)
        labels.append(remove_small_regions(assign(smooth, difference_maps.image_size), min_area))
    return Segmentation(torch.stack(labels), difference_maps.difference.shape[1])


def numbered(segmentation):
    """The label map in colour with every segment's number, for the node's preview."""
    flat = colorize(segmentation.labels)
    return ui.PreviewImage(overlay(flat, segmentation.labels))


class EmerDiffAssembleMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffAssembleMasks",
            display_name="EmerDiff Assemble Masks",
            category="EmerDiff",
            description="Give every pixel to the segment it answers to most. Instant. Last of the four steps.",
            search_aliases=["argmax", "segmentation masks", "label map"],
            inputs=[
                DifferenceMapsType.Input("difference_maps", tooltip="From EmerDiff Modulate Attention."),
                io.Float.Input(
                    "smoothing",
                    default=1.0,
                    min=0.0,
                    max=32.0,
                    step=0.25,
                    tooltip="Gaussian sigma, in pixels of the working size, against speckle; 0 = none.",
                ),
                io.Float.Input(
                    "min_area",
                    default=0.0,
                    min=0.0,
                    max=0.5,
                    step=0.001,
                    round=0.0001,
                    tooltip="Connected parts smaller than this fraction of the picture go to their neighbours.",
                ),
                io.Boolean.Input(
                    "normalize",
                    default=False,
                    advanced=True,
                    tooltip="Divide each map by its maximum first: helps when the strength does not suit the model.",
                ),
            ],
            outputs=outputs(),
        )

    @classmethod
    def execute(cls, difference_maps, smoothing=1.0, min_area=0.0, normalize=False) -> io.NodeOutput:
        segmentation = assemble_masks(difference_maps, smoothing, min_area, normalize)
        masks = host.to_output(labels_to_masks(segmentation.labels, segmentation.count))
        label_image = host.to_output(colorize(segmentation.labels))
        return io.NodeOutput(masks, segmentation, label_image, ui=numbered(segmentation))


def outputs():
    """What a finished segmentation gives, here and in EmerDiff Segment Image."""
    return [
        io.Mask.Output(
            display_name="masks", tooltip="One mask per segment, picture after picture; row number = segment number."
        ),
        SegmentationType.Output(display_name="segmentation", tooltip="The label map, for EmerDiff Select Segments."),
        io.Image.Output(display_name="label_image", tooltip="The label map in colours."),
    ]
