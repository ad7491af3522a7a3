"""What several nodes output and show: masks, segmentation, label image, and the pictures on the nodes."""

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..emerdiff_ops.segments.colors import colorize, highlight, palette
from ..emerdiff_ops.segments.labels import empty_masks, fill_masks, masks_to_labels, unwritten
from .host.latents import to_output
from .host.progress import counted, show_notes, show_text
from .steps.checks import pictures_of
from .steps.lift import Lifted
from .steps.pick import Picked
from .steps.select import Selected
from .steps.shown import as_images, numbered_labels, shown_levels, shown_pictures
from .steps.values import LowResMasks, Segmentation
from .steps.word_masks import Found
from .wires import SegmentationType

MASKS_LEFT_OUT = "make_masks is off: one empty mask stands for all of them"
ELSEWHERE = (
    "the result agrees with the rough mask no better than by chance: cover more of the thing, or try another strength "
    "or preset"
)


def segmentation_outputs(lists: bool = False) -> list:
    """The outputs of a node that gives a finished segmentation, or a list of them."""
    return [
        io.Mask.Output(
            display_name="masks",
            is_output_list=lists,
            tooltip="One mask per segment; row number = segment number. Pictures of a batch follow one another, all "
            "with as many masks as the one with the most segments: empty ones fill up.",
        ),
        SegmentationType.Output(
            display_name="segmentation",
            is_output_list=lists,
            tooltip="The label map, for EmerDiff Select Segments.",
        ),
        io.Image.Output(display_name="label_image", is_output_list=lists, tooltip="The label map in colours."),
    ]


def segmentation_result(segmentation: Segmentation, make_masks: bool = True) -> io.NodeOutput:
    """Masks, segmentation and label image, with the numbered label map as the node's preview.

    Without `make_masks` one empty mask stands for all of them.
    """
    labels, colours = segmentation.labels, palette(segmentation.count)
    masks = empty_masks(len(labels) * segmentation.count if make_masks else 1, *labels.shape[1:])
    rows = masks.split(segmentation.count) if make_masks else [masks[:0]] * len(labels)
    image, files = unwritten(*labels.shape, 3), []
    for own, part, coloured in counted([*zip(labels, rows, image, strict=True)], "pictures"):
        fill_masks(own, part)
        coloured[:] = colorize(own[None], colours)[0]
        files.append(numbered_labels(own, coloured, colours))
    if not make_masks:
        show_text(MASKS_LEFT_OUT)
    return io.NodeOutput(to_output(masks), segmentation, to_output(image), ui=as_images(files))


def coarse_preview(low_res_masks: LowResMasks) -> dict:
    """The coarse label map in colour, eight pixels a cell."""
    image = colorize(masks_to_labels(low_res_masks.masks))
    return shown_pictures(image.repeat_interleave(8, 1).repeat_interleave(8, 2))


def lifted_result(image: torch.Tensor, lifted: Lifted) -> io.NodeOutput:
    """Hard and soft masks, and a note on those that lie elsewhere than their rough masks."""
    if lifted.elsewhere:
        show_notes([f"mask {', '.join(map(str, lifted.elsewhere))}: {ELSEWHERE}"])
    return soft_result(image, lifted.soft)


def soft_result(image: torch.Tensor, soft: torch.Tensor) -> io.NodeOutput:
    """Soft masks [B * N, H, W], N a picture, and the same cut at 0.5; the preview shows them over the pictures."""
    hard = (soft > 0.5).float()
    pictures = pictures_of(image).cpu().repeat_interleave(len(hard) // len(image), 0)
    return io.NodeOutput(to_output(hard), to_output(soft), ui=shown_pictures(highlight(pictures, hard)))


def cut_out_result(pictures: torch.Tensor, masks: torch.Tensor) -> io.NodeOutput:
    """The cut-out pictures [M, H, W, 4] and their masks, with the pictures as preview."""
    return io.NodeOutput(to_output(pictures), to_output(masks), ui=shown_pictures(pictures))


def levels_result(image: torch.Tensor, picked: Picked) -> io.NodeOutput:
    """Hard and soft masks of the chosen level, and the level at which each pixel joins. Browsers get all levels."""
    masks = soft_result(image, picked.soft)
    joins = torch.stack([each.shares() for each in picked.levels])
    ui = {**masks.ui, "emerdiff_levels": [*map(shown_levels, picked.levels, pictures_of(image).cpu())]}
    return io.NodeOutput(*masks.args, to_output(joins), ui=ui)


def word_outputs() -> list:
    """The outputs of a node that finds words."""
    return [
        io.Mask.Output(
            display_name="mask",
            tooltip="One mask for each phrase of each picture, the first picture's phrases first. 0 or 1, exactly the "
            "picture's size.",
        ),
        io.Image.Output(
            display_name="overlay",
            tooltip="For each mask the picture with the selection highlighted and every segment's score.",
        ),
        io.Mask.Output(
            display_name="soft_mask",
            tooltip="For each mask where the phrase itself is, 0 to 1, along the picture's borders and without "
            "segments.",
        ),
        io.Mask.Output(
            display_name="unnamed",
            tooltip="For each picture what no phrase names, 0 to 1: one less the largest soft mask.",
        ),
    ]


def words_result(found: Found, overlay: torch.Tensor) -> io.NodeOutput:
    """What a text found, with the overlay [B * P, H, W, 3] as the node's preview."""
    outputs = map(to_output, (found.mask, overlay, found.soft, found.unnamed))
    return io.NodeOutput(*outputs, ui=shown_pictures(overlay))


def selected_result(elements: list[Selected], notes: list[str]) -> io.NodeOutput:
    """Masks and overlays, one an element, and the click widget's data. An empty selection blocks nodes behind it."""
    shown = as_images([one.numbered for each in elements for one in each.shown]) | {
        "emerdiff_segments": [entry for each in elements for entry in each.entries],
        "text": notes,
    }
    masks, overlays = [each.mask for each in elements], [each.overlay for each in elements]
    return io.NodeOutput(*([_or_nothing(value) for value in values] for values in (masks, overlays)), ui=shown)


def _or_nothing(value: torch.Tensor | None):
    return ExecutionBlocker(None) if value is None else to_output(value)  # None: without a message
