"""difference maps -> masks: smooth, compare at the image's exact size, tidy up (paper, sec. 3)."""

from collections.abc import Callable, Iterable

import torch
from comfy_api.latest import io, ui

from ..emerdiff_ops.colors import colorize, overlay
from ..emerdiff_ops.difference import gaussian_smooth
from ..emerdiff_ops.guided import UPSAMPLING_RADIUS, along
from ..emerdiff_ops.labels import assign, labels_to_masks
from ..emerdiff_ops.regions import fill_holes as fill_small_holes
from ..emerdiff_ops.regions import remove_small_regions
from ..emerdiff_ops.regions import split_parts as parts_of
from . import host, inputs
from .types import DifferenceMapsType, Segmentation, SegmentationType

MOST_PARTS = 256  # of a picture


def assemble_masks(
    difference_maps,
    smoothing=1.0,
    min_area=0.0,
    normalize=False,
    fill_holes=0.0,
    split_parts=False,
    image=None,
    refine=True,
) -> Segmentation:
    """label(x, y) = argmax_i d_i(x, y), one label map [H, W] per image.

    With `image` and `refine` the maps are enlarged along its borders where it is larger than they are.
    """
    maps, size = difference_maps.difference, difference_maps.image_size
    follow = enlargers(image, (len(maps), *size), maps.shape[-2:]) if refine else [None] * len(maps)
    labels = []
    for each, enlarge in zip(maps, follow):  # [K, H, W]
        whole = label_picture(each, size, smoothing, normalize, enlarge)
        labels.append(fill_small_holes(remove_small_regions(whole, min_area), fill_holes))
    if split_parts:
        return split(labels)
    return Segmentation(torch.stack(labels), maps.shape[1])


def label_picture(maps, image_size, smoothing=1.0, normalize=False, follow=None) -> torch.Tensor:
    """The label map [H, W] of one picture from its difference maps as they come, one of them held at a time.

    `follow` enlarges a map along the picture's borders; without, it is enlarged bilinearly.
    """

    def comparable(each):
        host.throw_if_cancelled()
        smooth = gaussian_smooth(each, smoothing)
        if normalize:
            smooth = smooth / smooth.amax().clamp_min(1e-8)
        return follow(smooth) if follow else smooth

    return assign(map(comparable, maps), image_size)


def enlargers(image, shape: tuple[int, int, int], working_size) -> Iterable[Callable | None]:
    """For each picture what enlarges its maps along its borders, or None where they need not be; shape [B, H, W]."""
    if image is not None:
        inputs.check_belongs(image, shape)
    if image is None or any(side <= own for side, own in zip(shape[1:], working_size)):
        return [None] * shape[0]
    return (along(picture, working_size, UPSAMPLING_RADIUS) for picture in host.check_image(image).cpu())


def split(labels) -> Segmentation:
    """A segment of its own for every connected part: from semantic regions to instances."""
    parts = [parts_of(each) for each in labels]
    count = int(max(each.max() for each in parts)) + 1
    if count > MOST_PARTS:
        raise ValueError(
            f"the segments fall into {count} connected parts, more than {MOST_PARTS}: raise min_area or smoothing, so "
            "that specks vanish first"
        )
    return Segmentation(torch.stack(parts).to(torch.int16), count)


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
                inputs.smoothing(),
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
                io.Float.Input(
                    "fill_holes",
                    default=0.0,
                    min=0.0,
                    max=0.5,
                    step=0.001,
                    round=0.0001,
                    optional=True,
                    advanced=True,
                    tooltip="What one segment encloses goes to it, if smaller than this fraction of the picture.",
                ),
                io.Boolean.Input(
                    "split_parts",
                    default=False,
                    optional=True,
                    tooltip="Every connected part becomes a segment of its own: two cats that share a segment come "
                    "apart. Set min_area too, or specks become segments.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The segmented picture. Where it is larger than the working size, the masks follow its "
                    "borders to the pixel.",
                ),
                io.Boolean.Input(
                    "refine",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Follow the borders of the connected image; without, masks are enlarged bilinearly.",
                ),
            ],
            outputs=outputs(),
        )

    @classmethod
    def execute(
        cls,
        difference_maps,
        smoothing=1.0,
        min_area=0.0,
        normalize=False,
        fill_holes=0.0,
        split_parts=False,
        image=None,
        refine=True,
    ) -> io.NodeOutput:
        segmentation = assemble_masks(
            difference_maps, smoothing, min_area, normalize, fill_holes, split_parts, image, refine
        )
        return finished(segmentation)


def finished(segmentation) -> io.NodeOutput:
    """Masks, segmentation and label image, with the numbered label map as the node's preview."""
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
