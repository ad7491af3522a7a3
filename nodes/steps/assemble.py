"""difference maps -> masks: smooth, compare at the image's exact size, tidy up (paper, sec. 3)."""

from collections.abc import Callable, Iterable

import torch

from ...emerdiff_ops.difference import gaussian_smooth
from ...emerdiff_ops.guided import guided_upsampler, is_larger
from ...emerdiff_ops.segments import regions
from ...emerdiff_ops.segments.labels import assign
from ..host.progress import throw_if_cancelled
from .checks import check_belongs, check_kind
from .modulate import Push, maps_as_they_come
from .values import Counts, DifferenceMaps, LowResMasks, Segmentation, Source, Trajectory

MOST_PARTS = 256  # of a picture


def assemble_masks(
    difference_maps: DifferenceMaps,
    smoothing=1.0,
    min_area=0.0,
    normalize=False,
    fill_holes=0.0,
    split_parts=False,
    image=None,
) -> Segmentation:
    """label(x, y) = argmax_i d_i(x, y), one label map [H, W] per image.

    With `image` the maps are enlarged along its borders where it is larger than they are.
    """
    check_kind(difference_maps, DifferenceMaps)
    maps, size = difference_maps.difference, difference_maps.image_size
    upsamplers = guided_upsamplers(image, (len(maps), *size), maps.shape[-2:])
    labels = []
    for picture, upsample in enumerate(upsamplers):
        whole = label_picture(difference_maps.of(picture), size, smoothing, normalize, upsample)
        labels.append(regions.fill_holes(regions.remove_small_regions(whole, min_area), fill_holes))
    if split_parts:
        return split(labels, difference_maps.counts)
    return as_segmentation(labels, maps.shape[1], difference_maps.counts)


def segment_pictures(
    source: Source, image, trajectory: Trajectory, low_res_masks: LowResMasks, preset: str
) -> Segmentation:
    """Modulation and assembly, at their defaults, in one go: one difference map is held at a time."""
    check_kind(trajectory, Trajectory)
    check_kind(low_res_masks, LowResMasks)
    sizes = (len(trajectory.latent), *trajectory.image_size), trajectory.working_size
    pictures = maps_as_they_come(source, trajectory, low_res_masks, Push(preset, relative=True), image=image)
    labels = [
        label_picture(maps, trajectory.image_size, upsample=upsample)
        for maps, upsample in zip(pictures, guided_upsamplers(image, *sizes), strict=True)
    ]
    return as_segmentation(labels, low_res_masks.masks.shape[1], low_res_masks.counts)


def as_segmentation(labels: list[torch.Tensor], count: int, counts: Counts | None) -> Segmentation:
    """Label maps of `count` segments; where each picture has its own, those that cover no pixel are left out."""
    if counts is None:
        return Segmentation(torch.stack(labels), count)
    used = [each.unique(return_inverse=True) for each in labels]
    left = tuple(len(numbers) for numbers, _ in used)
    return Segmentation(torch.stack([each.to(torch.int16) for _, each in used]), max(left), counts=left)


def label_picture(maps, image_size, smoothing=1.0, normalize=False, upsample: Callable | None = None) -> torch.Tensor:
    """The label map [H, W] of one picture from its difference maps as they come, one of them held at a time.

    `upsample` enlarges a map along the picture's borders; without, it is enlarged bilinearly.
    """

    def comparable(each):
        throw_if_cancelled()
        smooth = gaussian_smooth(each, smoothing)
        if normalize:
            smooth = smooth / smooth.amax().clamp_min(1e-8)
        return upsample(smooth) if upsample else smooth

    return assign(map(comparable, maps), image_size)


def guided_upsamplers(image, shape: tuple[int, int, int], working_size) -> Iterable[Callable | None]:
    """For each picture what enlarges its maps along its borders, or None where they need not be; shape [B, H, W]."""
    pictures = None if image is None else check_belongs(image, shape)
    if pictures is None or not is_larger(shape[1:], working_size):
        return [None] * shape[0]
    return (guided_upsampler(picture.cpu(), working_size) for picture in pictures)


def split(labels: list[torch.Tensor], counts: Counts | None) -> Segmentation:
    """A segment of its own for every connected part: from semantic regions to instances."""
    parts = [regions.split_parts(each) for each in labels]
    count = int(max(each.max() for each in parts)) + 1
    if count > MOST_PARTS:
        raise ValueError(
            f"the segments fall into {count} connected parts, more than {MOST_PARTS}: raise min_area or smoothing, so "
            "that specks vanish first"
        )
    return as_segmentation([each.to(torch.int16) for each in parts], count, counts)
