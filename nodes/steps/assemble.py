"""difference maps -> masks: smooth, compare at the image's exact size, tidy up (paper, sec. 3)."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.difference import gaussian_smooth
from ...emerdiff_ops.guided import guided_upsampler, is_larger
from ...emerdiff_ops.segments import regions
from ...emerdiff_ops.segments.labels import assign, first_of_each
from ...emerdiff_ops.segments.merging import merges
from ...emerdiff_ops.segments.touching import split_things
from ..host.memory import PROCESSOR, Workplace
from ..host.progress import Progress
from .belongs import check_kind, pictures_under
from .modulate import Maps, workplace
from .values import DifferenceMaps, LowResMasks, Merges, Segmentation, Size, size_of

MOST_PARTS = 256  # of a picture
MOST_IN_TREE = 64  # segments; with more, the click widget gets no merges
ASSEMBLY = 0.02  # assumed cost of a map against a row of the UNet, until one has run


class How(NamedTuple):
    """How difference maps are prepared for comparison."""

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

    Where `image` is larger than the maps, they are enlarged along its borders.
    """
    check_kind(difference_maps, DifferenceMaps)
    maps, size = difference_maps.difference, difference_maps.image_size
    place = workplace(maps.device, size_of(maps), size)
    progress = Progress("maps")
    progress.expect("assembly", sum(len(difference_maps.of(picture)) for picture in range(len(maps))), ASSEMBLY)
    how, labels = How(smoothing, normalize), []
    for number, picture in enumerate(pictures_under(image, (len(maps), *size), difference_maps.pictures)):
        own = difference_maps.of(number)
        whole = label_picture(partial(one_by_one, own), size, place, progress, picture, how)
        labels.append(regions.tidied(whole, min_area, fill_holes))
    if split_parts:
        return split(labels, difference_maps)
    return as_segmentation(labels, difference_maps)


def one_by_one(maps: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Difference maps [K, H, W] on a device, one of them at a time."""
    return (each.to(device) for each in maps)


def as_segmentation(labels: list[Tensor], made_of: LowResMasks | DifferenceMaps) -> Segmentation:
    """The segmentation of label maps [H, W]. Where each has its own count, numbers that cover no pixel are dropped."""
    if made_of.counts is None:
        count = made_of[0].shape[1]
        tree = tree_of(labels, made_of.gram)
        return Segmentation(torch.stack(labels), count, None, None, made_of.pictures, made_of.numbering, tree)
    used = [each.unique(return_inverse=True) for each in labels]
    left = tuple(len(numbers) for numbers, _ in used)
    renumbered = [each.to(torch.int16) for _, each in used]
    tree = tree_of(renumbered, made_of.gram, [numbers for numbers, _ in used])
    return Segmentation(torch.stack(renumbered), max(left), None, left, made_of.pictures, None, tree)


def tree_of(labels: list[Tensor], gram, were: list[Tensor] | None = None) -> tuple[Merges, ...] | None:
    """How the segments of each picture merge, by its inner products [K, K]; None where there are too many.

    After renumbering, `were` holds for each picture the old number of every new one.
    """
    if gram is None:
        return None
    if were is not None:
        gram = [own[old.long()][:, old.long()] for own, old in zip(gram, were, strict=True)]
    if max(map(len, gram)) > MOST_IN_TREE:
        return None
    return tuple(merges(*each) for each in zip(labels, gram, strict=True))


def label_picture(
    maps: Maps, size: Size, place: Workplace, progress: Progress, picture: Tensor | None = None, how: How = HOW
) -> Tensor:
    """The label map [H, W] of one picture, on the processor, from its difference maps. Only one map is held at a time.

    Where `picture` [H, W, 3] is larger than the maps, they are enlarged along its borders, else bilinearly.
    """

    def work(device: torch.device) -> Tensor:
        return assign(comparable(maps(device), picture, progress, how), size).to(PROCESSOR)

    return place.run(work)


def comparable(maps: Iterator[Tensor], picture: Tensor | None, progress: Progress, how: How) -> Iterator[Tensor]:
    """Smooths the maps, and enlarges them where the picture is larger."""
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


def split(labels: list[Tensor], made_of: DifferenceMaps) -> Segmentation:
    """Makes every thing a segment: instances instead of semantic regions, numbered in each picture."""
    parts = [split_things(each) for each in labels]
    count = int(max(each.max() for each in parts)) + 1
    if count > MOST_PARTS:
        raise ValueError(
            f"the segments fall into {count} parts, more than {MOST_PARTS}: raise min_area or smoothing, so "
            "that specks vanish first"
        )
    left = tuple(int(each.max()) + 1 for each in parts) if made_of.counts else None
    whole = [own.flatten()[first_of_each(part)] for own, part in zip(labels, parts)]  # the segment of each part
    tree = tree_of(parts, made_of.gram, whole)
    return Segmentation(torch.stack(parts).to(torch.int16), count, None, left, made_of.pictures, None, tree)
