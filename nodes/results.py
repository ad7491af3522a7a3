"""What several nodes give and show: masks, segmentation, label image, and the pictures on the nodes."""

import torch
from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ..emerdiff_ops.segments.colors import colorize, highlight, overlay
from ..emerdiff_ops.segments.labels import labels_to_masks, masks_to_labels
from .host.latents import to_output
from .steps.select import Selected
from .steps.values import LowResMasks, Segmentation
from .wires import SegmentationType


def segmentation_outputs() -> list:
    """The outputs of a node that gives a finished segmentation."""
    return [
        io.Mask.Output(
            display_name="masks", tooltip="One mask per segment, picture after picture; row number = segment number."
        ),
        SegmentationType.Output(display_name="segmentation", tooltip="The label map, for EmerDiff Select Segments."),
        io.Image.Output(display_name="label_image", tooltip="The label map in colours."),
    ]


def segmentation_result(segmentation: Segmentation) -> io.NodeOutput:
    """Masks, segmentation and label image, with the numbered label map as the node's preview."""
    masks = to_output(labels_to_masks(segmentation.labels, segmentation.count))
    colours = colorize(segmentation.labels)
    numbered = ui.PreviewImage(overlay(colours, segmentation.labels))
    return io.NodeOutput(masks, segmentation, to_output(colours), ui=numbered)


def coarse_preview(low_res_masks: LowResMasks):
    """The coarse label map in colour, eight pixels a cell."""
    image = colorize(masks_to_labels(low_res_masks.masks))
    return ui.PreviewImage(image.repeat_interleave(8, 1).repeat_interleave(8, 2))


def lifted_result(image: torch.Tensor, soft: torch.Tensor) -> io.NodeOutput:
    """Hard and soft masks [B * N, H, W] of N masks a picture, with the pictures under them as the node's preview."""
    hard = (soft > 0.5).float()
    pictures = image.cpu().repeat_interleave(len(hard) // len(image), 0)
    return io.NodeOutput(to_output(hard), to_output(soft), ui=ui.PreviewImage(highlight(pictures, hard)))


def selected_result(elements: list[Selected], notes: list[str]) -> io.NodeOutput:
    """Masks and overlays, an element each, and what the click widget needs; nothing runs where nothing is selected."""
    pictures = [ui.PreviewImage(each.numbered).as_dict() for each in elements]
    shown = {
        "images": [image for each in pictures for image in each["images"]],
        "animated": (False,),
        "emerdiff_segments": [entry for each in elements for entry in each.entries],
        "text": notes,
    }
    masks, overlays = [each.mask for each in elements], [each.overlay for each in elements]
    return io.NodeOutput(*([_or_nothing(value) for value in values] for values in (masks, overlays)), ui=shown)


def _or_nothing(value: torch.Tensor | None):
    return ExecutionBlocker(None) if value is None else to_output(value)  # None: silently
