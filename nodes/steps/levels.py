"""Levels: the masks that a point may mean, from a part of a thing to the whole. Per picture, without the network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.ancestors import ancestors
from ...emerdiff_ops.borders import ROUGH, Look
from ...emerdiff_ops.difference import resize_maps
from ...emerdiff_ops.flood import flood
from ...emerdiff_ops.grid import Grid
from ...emerdiff_ops.kmeans import clustered
from ...emerdiff_ops.levels import Levels, area_of, nested, rises
from ...emerdiff_ops.likeness import with_points
from ...emerdiff_ops.markov import steps_from
from ...emerdiff_ops.segments.texts import Box, Points
from ..host.memory import Workplace
from .values import Features, size_of

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
    """Levels of one picture [H, W, 3]. The first shown is `like` [H, W] bool, the mask of what is like the points.

    No rule that shows another level first was better for things of every size (docs/measured/clicks.md): people choose.
    Boxes give one level, because they tell the thing's size. So do negative points alone, because what they leave has
    no size. The other levels are searched on the picture reduced to SIDE.
    """
    if pointed.boxes or not pointed.positive:
        return nested(like, [])
    seen = seen_at(features, picture, pointed)
    merged = [with_points(mask, seen.positive) for mask in merging(features, seen, place)]
    if features.chains is None:
        return around(like, enlarged(merged, like), pointed)
    reached, nearest = reached_from(features, seen, place)
    flooded = [reached <= level for level in dict.fromkeys(rises(reached))]
    return around(like, enlarged([mask & nearest for mask in (*flooded, *merged)], like), pointed)


def around(first: Tensor, masks: list[Tensor], pointed: Pointed) -> Levels:
    """The first mask, and levels that hold every positive point and no negative one.

    Where the first mask does not do so, only larger levels are kept.
    """

    def holds(mask: Tensor) -> bool:
        return all(mask[y, x] for x, y in pointed.positive) and not any(mask[y, x] for x, y in pointed.negative)

    least = 0 if holds(first) else area_of(first) + 1
    return nested(first, [mask for mask in masks if holds(mask) and area_of(mask) >= least])


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


def enlarged(masks: list[Tensor], like: Tensor) -> list[Tensor]:
    """Masks [h, w] bool, resized to the size of `like`."""
    return [resize_maps(mask[None].float(), size_of(like))[0] > 0.5 for mask in masks]


def merging(features: Features, seen: Seen, place: Workplace) -> list[Tensor]:
    """The clusters under positive points and what they merge into, as masks [h, w] bool along the picture's borders.

    The list ends before the first that holds the cell of a negative point.
    """
    assert features.clusters is not None  # pick_levels adds them where they were not read
    grid, of_picture = seen.grid, (features.features[0], features.clusters[0, 1])
    wanted, unwanted = (grid.of_points(points, grid.working) for points in (seen.positive, seen.negative))
    cells = takewhile(lambda mask: not any(mask[cell] for cell in unwanted), ancestors(*of_picture, wanted))
    masks = along_borders([each.float() for each in cells], seen.picture, grid.reduced(FITS), place)
    return [mask > 0.5 for mask in masks]


def along_borders(masks: Sequence[Tensor], picture: Tensor, grid: Grid, place: Workplace) -> list[Tensor]:
    """Masks [h, w] of the grid, brought to the picture [H, W, 3] along its borders; on the processor."""

    def work(device: torch.device) -> list[Tensor]:
        look = Look(picture, grid).on(device)
        return [each.cpu() for each in look.follow((mask.to(device) for mask in masks), ROUGH)]

    return place.run(work)


def reached_from(features: Features, seen: Seen, place: Workplace) -> tuple[Tensor, Tensor]:
    """The level [h, w], in Markov chain steps, at which a flood from the nearest positive point reaches each pixel.

    Also [h, w] bool: where no negative point is as near (M2N2's rule for several points, with one threshold for all).
    """
    reached = floods(features, seen.picture, seen.positive, place)
    if not seen.negative:
        return reached, torch.ones_like(reached, dtype=torch.bool)
    return reached, reached < floods(features, seen.picture, seen.negative, place)


def floods(features: Features, picture: Tensor, points: Points, place: Workplace) -> Tensor:
    """The minimum of the floods from points, [h, w]. Each floods its Markov map along the picture's borders."""
    grid, chain = features.grid_of_chains.reduced(SIDE), features.chains
    assert chain is not None  # called only where there are some
    cells = [grid.of_points([point], grid.working)[0] for point in points]
    tokens = [row * grid.cells[1] + column for row, column in cells]
    maps = place.run(lambda device: steps_from(chain[0].to(device), tokens).cpu()).view(-1, *grid.cells)
    fits = grid.reduced(FITS)
    follow = Look(picture, fits).filter(grid.covered[0] / grid.cells[0] / min(grid.working))  # windows of one token
    found = []
    for steps, (x, y) in zip(maps, points, strict=True):
        most = steps.amax().clamp_min(1e-6)
        found.append(flood(follow(fits.enlarged(steps[None] / most)[0]) * most, (y, x)))
    return torch.stack(found).amin(0)
