"""difference maps -> masks: smooth, compare at the image's exact size, tidy up (paper, sec. 3)."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.difference import gaussian_smooth
from ...emerdiff_ops.guided import guided_upsampler, is_larger
from ...emerdiff_ops.segments import regions
from ...emerdiff_ops.segments.labels import assign
from ..host.memory import PROCESSOR, Workplace
from ..host.progress import Progress
from .checks import check_belongs, check_kind
from .modulate import Maps, workplace
from .values import DifferenceMaps, LowResMasks, Segmentation, Size, size_of

MOST_PARTS = 256  # of a picture
ASSEMBLY = 0.02  # what a map may cost against a row of the UNet, before any has run


class How(NamedTuple):
    """What is done to difference maps before they are compared."""

    smoothing: float = 1.0  # Gaussian sigma, pixels of the maps
    normalize: bool = False  # each divided by its maximum


HOW = How()


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
    place = workplace(maps.device, size_of(maps), size)
    progress = Progress("maps")
    progress.expect("assembly", sum(len(difference_maps.of(picture)) for picture in range(len(maps))), ASSEMBLY)
    how, labels = How(smoothing, normalize), []
    for number, picture in enumerate(pictures_under(image, (len(maps), *size))):
        own = difference_maps.of(number)
        whole = label_picture(partial(one_by_one, own), size, place, progress, picture, how)
        labels.append(regions.fill_holes(regions.remove_small_regions(whole, min_area), fill_holes))
    if split_parts:
        return split(labels, difference_maps)
    return as_segmentation(labels, difference_maps)


def one_by_one(maps: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Difference maps [K, H, W] on a device, one of them at a time."""
    return (each.to(device) for each in maps)


def as_segmentation(labels: list[Tensor], made_of: LowResMasks | DifferenceMaps) -> Segmentation:
    """Label maps [H, W] of pictures; where each has its own count, numbers that cover no pixel are left out."""
    pictures, numbering = made_of.pictures, made_of.numbering
    if made_of.counts is None:
        count = made_of[0].shape[1]
        return Segmentation(torch.stack(labels), count, pictures=pictures, numbering=numbering)
    used = [each.unique(return_inverse=True) for each in labels]
    left = tuple(len(numbers) for numbers, _ in used)
    return Segmentation(torch.stack([each.to(torch.int16) for _, each in used]), max(left), None, left, pictures)


def label_picture(
    maps: Maps, size: Size, place: Workplace, progress: Progress, picture: Tensor | None = None, how: How = HOW
) -> Tensor:
    """The label map [H, W] of one picture, on the processor, from its difference maps; one of them is held at a time.

    They are enlarged along the borders of the `picture` [H, W, 3] where it is larger than they are, else bilinearly.
    """

    def work(device: torch.device) -> Tensor:
        return assign(comparable(maps(device), picture, progress, how), size).to(PROCESSOR)

    return place.run(work)


def comparable(maps: Iterator[Tensor], picture: Tensor | None, progress: Progress, how: How) -> Iterator[Tensor]:
    """The maps smoothed, and enlarged where the picture shows more than they do."""
    upsample = None
    for each in maps:
        smooth = gaussian_smooth(each, how.smoothing)
        if how.normalize:
            smooth = smooth / smooth.amax().clamp_min(1e-8)
        if picture is not None and is_larger(picture.shape, each.shape):
            upsample = upsample or guided_upsampler(picture.to(each), size_of(each))
            smooth = upsample(smooth)
        yield smooth
        progress.step("assembly")


def pictures_under(image, shape: tuple[int, int, int]) -> Sequence[Tensor | None]:
    """The pictures [H, W, 3] that labels of this shape [B, H, W] belong to, or nothing for each."""
    return [None] * shape[0] if image is None else [*check_belongs(image, shape)]


def split(labels: list[Tensor], made_of: DifferenceMaps) -> Segmentation:
    """A segment of its own for every connected part: from semantic regions to instances, numbered in each picture."""
    parts = [regions.split_parts(each) for each in labels]
    count = int(max(each.max() for each in parts)) + 1
    if count > MOST_PARTS:
        raise ValueError(
            f"the segments fall into {count} connected parts, more than {MOST_PARTS}: raise min_area or smoothing, so "
            "that specks vanish first"
        )
    left = tuple(int(each.max()) + 1 for each in parts) if made_of.counts else None
    labels = [each.to(torch.int16) for each in parts]
    return Segmentation(torch.stack(labels), count, None, left, made_of.pictures)
