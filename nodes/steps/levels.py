"""Levels: the masks that a point may mean, from a part of a thing to the whole. Per picture, without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.ancestors import ancestors, merges_of
from ...emerdiff_ops.borders import ROUGH, Look
from ...emerdiff_ops.difference import resize_maps
from ...emerdiff_ops.flood import flood
from ...emerdiff_ops.grid import Grid
from ...emerdiff_ops.kmeans import clustered
from ...emerdiff_ops.levels import Levels, area_of, nested, rises
from ...emerdiff_ops.likeness import with_points
from ...emerdiff_ops.markov import steps_from
from ...emerdiff_ops.meant import plausibility
from ...emerdiff_ops.segments.texts import Box, Points
from ..host.memory import Workplace
from .values import Features, Size, size_of

FEW, MANY = 8, 20  # clusters: the rest of a picture competes with what is pointed at by few, and grows by many
RESTARTS = 3  # few suffice for many clusters, because the levels hide which there were
SIDE = 256  # pixels of the shorter side at which levels are searched; with 64 tokens a side, each has 4
FITS = 96  # pixels of the shorter side at which levels are fitted to the picture's borders, for a seventh of the work


class Pointed(NamedTuple):
    """The points and boxes in one picture, in its pixels."""

    positive: Points
    negative: Points
    boxes: list[Box]


def clusters_of(features: Tensor) -> Tensor:
    """The clusters of features [h, w, C] that a point needs, whichever it is: by few and by many [2, h, w] int16."""
    return torch.stack([clustered(features, FEW), clustered(features, MANY, RESTARTS)]).to(torch.int16)


def levels_of(features: Features, picture: Tensor, pointed: Pointed, like: Tensor, place: Workplace) -> Levels:
    """Levels of one picture [H, W, 3]. The most plausible one is shown first.

    It may be `like` [H, W] bool, the mask of what is like the points, which need not hold them all. The other levels
    hold every positive point and no negative one. Boxes tell the thing's size, so they give `like` alone. So do
    negative points alone, because what they leave has no size. Levels are searched on the picture reduced to SIDE.
    """
    if pointed.boxes or not pointed.positive:
        return nested(like, [])
    seen = seen_at(features, picture, pointed)
    own, count = alone(features, seen, [*seen.positive, *seen.negative], place), len(seen.positive)
    found = (mask for mask in together(seen, own[:count], own[count:]) if holds(mask, seen.positive, seen.negative))
    masks = [*resized([like], seen.grid.working), *found]
    best = int(plausibility(masks, masks[0], seen.picture, [*seen.positive, *seen.negative]).argmax())
    levels = nested(masks[best], masks)
    every = resized([levels.joins <= number for number in range(levels.count)], size_of(like))
    first = every[levels.first] if best else like
    return nested(first, [mask for mask in every if holds(mask, pointed.positive, pointed.negative)])


def holds(mask: Tensor, positive: Points, negative: Points) -> bool:
    """Whether a mask [h, w] bool holds all points of the first kind, and none of the second."""
    return all(mask[y, x] for x, y in positive) and not any(mask[y, x] for x, y in negative)


def resized(masks: list[Tensor], size: Size) -> list[Tensor]:
    """Masks [h, w] bool, resized to a size (H, W)."""
    return [resize_maps(mask[None].float(), size)[0] > 0.5 for mask in masks]


class Seen(NamedTuple):
    """A picture reduced to SIDE, its grid of features, and the points in its pixels."""

    picture: Tensor  # [h, w, 3]
    grid: Grid
    positive: Points
    negative: Points


def seen_at(features: Features, picture: Tensor, pointed: Pointed) -> Seen:
    size, grid = size_of(picture[..., 0]), features.grid.reduced(SIDE)
    height, width = grid.working
    small = resize_maps(picture.cpu().movedim(-1, 0), grid.working).movedim(0, -1)
    positive, negative = (
        [(x * width // size[1], y * height // size[0]) for x, y in points]
        for points in (pointed.positive, pointed.negative)
    )
    return Seen(small, grid, positive, negative)


def alone(features: Features, seen: Seen, points: Points, place: Workplace) -> list[list[Tensor]]:
    """What each point alone may mean, as masks [h, w] bool: its cluster, what that merges into, its flood."""
    merged = [
        [with_points(mask, [point]) for mask in masks]
        for point, masks in zip(points, merging(features, seen, points, place), strict=True)
    ]
    if features.chains is None:
        return merged
    floods = flooded(features, seen.picture, points, place)
    return [
        [*masks, *(reached <= level for level in dict.fromkeys(rises(reached)))]
        for masks, reached in zip(merged, floods, strict=True)
    ]


def together(seen: Seen, wanted: list[list[Tensor]], unwanted: list[list[Tensor]]) -> Iterator[Tensor]:
    """The masks of each positive point, with a part for every other one, and without a part for every negative one.

    Each point has a region of its own size (as in M2N2's rule 8), so that a further click only mends what is there. The
    parts are small in one half of the masks, and large in the other.
    """
    for size in (min, max) if len(wanted + unwanted) > 1 else (min,):
        more, less = (
            [(point, part_of(own, point, others, size)) for point, own in zip(points, masks, strict=True)]
            for points, masks, others in (
                (seen.positive, wanted, seen.negative),
                (seen.negative, unwanted, seen.positive),
            )
        )
        for mask in chain(*wanted):
            for (x, y), part in more:
                mask = mask if mask[y, x] else mask | part
            for (x, y), part in less:
                mask = mask & ~part if mask[y, x] else mask
            yield mask


def part_of(own: list[Tensor], point: tuple[int, int], others: Points, size: Callable) -> Tensor:
    """The smallest or largest (`size`) of a point's masks that are no larger than its cluster and hold none of others.

    Empty where all hold one.
    """

    def fits(mask: Tensor) -> bool:
        at = [bool(mask[y, x]) for x, y in (point, *others)]
        return at[0] and not any(at[1:]) and area_of(mask) <= area_of(own[0])

    return size(filter(fits, own), key=area_of, default=torch.zeros_like(own[0]))


def merging(features: Features, seen: Seen, points: Points, place: Workplace) -> list[list[Tensor]]:
    """The cluster under each point and what it merges into, as masks [h, w] bool along the picture's borders."""
    assert features.clusters is not None  # pick_levels adds them where they were not read
    grid, labels = seen.grid, features.clusters[0, 1].cpu()
    tree = merges_of(features.features[0], labels)
    cells = [grid.of_points([point], grid.working) for point in points]
    coarse = [[mask.float() for mask in ancestors(labels, tree, each)] for each in cells]
    masks = iter(along_borders([*chain(*coarse)], seen.picture, grid.reduced(FITS), place))
    return [[mask > 0.5 for mask in islice(masks, len(each))] for each in coarse]


def along_borders(masks: Sequence[Tensor], picture: Tensor, grid: Grid, place: Workplace) -> list[Tensor]:
    """Masks [h, w] of the grid, brought to the picture [H, W, 3] along its borders; on the processor."""

    def work(device: torch.device) -> list[Tensor]:
        look = Look(picture, grid).on(device)
        return [each.cpu() for each in look.follow((mask.to(device) for mask in masks), ROUGH)]

    return place.run(work)


def flooded(features: Features, picture: Tensor, points: Points, place: Workplace) -> list[Tensor]:
    """The level [h, w], in Markov chain steps, at which a flood from each point reaches each pixel.

    Each floods its Markov map along the picture's borders.
    """
    grid, chains = features.grid_of_chains.reduced(SIDE), features.chains
    assert chains is not None  # called only where there are some
    cells = [grid.of_points([point], grid.working)[0] for point in points]
    tokens = [row * grid.cells[1] + column for row, column in cells]
    maps = place.run(lambda device: steps_from(chains[0].to(device), tokens).cpu()).view(-1, *grid.cells)
    fits = grid.reduced(FITS)
    follow = Look(picture, fits).filter(grid.covered[0] / grid.cells[0] / min(grid.working))  # windows of one token
    found = []
    for steps, (x, y) in zip(maps, points, strict=True):
        most = steps.amax().clamp_min(1e-6)
        found.append(flood(follow(fits.enlarged(steps[None] / most)[0]) * most, (y, x)))
    return found
