"""Levels of the thing under a point, from fine to coarse: each lies in the next, so that one map holds all of them.

How large a thing is meant cannot be told from one point. A map of levels has for every pixel the level at which it
joins, 0 the finest: the mask of a level is where that is reached. Masks [H, W] bool, on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

ALIKE = 0.85  # intersection over union from which on two masks are one level
LEAST, MOST, RANGES = 0.002, 0.8, 24  # shares of the picture between which a flood has levels, one in each range
AROUND = 1.05  # by this factor more and less area a flood's rise is measured


class Levels(NamedTuple):
    joins: torch.Tensor  # [H, W] int16; `count` where a pixel never joins
    count: int  # type: ignore[assignment]  # hides the method tuple.count, which nothing calls
    first: int  # the level that is shown unasked

    def at(self, steps: int) -> torch.Tensor:
        """The mask so many levels above the first, or below it; the nearest that there is."""
        return self.joins <= min(max(self.first + steps, 0), self.count - 1)

    def shares(self) -> torch.Tensor:
        """[H, W] float32: 1 where a pixel is in every one of n levels, 1/n where in the last alone, 0 where in none."""
        return 1 - self.joins.float() / self.count


def nested(first: torch.Tensor, others: Sequence[torch.Tensor]) -> Levels:
    """Levels of masks. `first` stays as it is, smaller ones are cut to it, larger ones have it in them.

    What is nearly the level before is left out, and so is what becomes empty.
    """
    by_area = sorted(others, key=lambda mask: int(mask.sum()))
    area = first.sum()
    finer, coarser = [first], [first]
    for mask in reversed([each for each in by_area if each.sum() <= area]):
        mask = mask & finer[-1]
        if mask.any() and overlap(mask, finer[-1]) < ALIKE:
            finer.append(mask)
    for mask in (each for each in by_area if each.sum() > area):
        mask = mask | coarser[-1]
        if overlap(mask, coarser[-1]) < ALIKE:
            coarser.append(mask)
    levels = [*finer[:0:-1], *coarser]
    joins = torch.full(first.shape, len(levels), dtype=torch.int16)
    for mask in levels:
        joins -= mask.to(torch.int16)
    return Levels(joins, len(levels), len(finer) - 1)


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Intersection over union of two masks; 1 of two that are empty."""
    return float((one & other).sum() / (one | other).sum()) if (one | other).any() else 1.0


def rises(reached: torch.Tensor) -> list[float]:
    """Where a flood [H, W] rises most for the least area: a threshold for each range of areas that it passes."""
    rising, pixels = reached.flatten().sort().values, reached.numel()
    edges = (LEAST * (MOST / LEAST) ** (torch.arange(RANGES + 1) / RANGES) * pixels).long().clamp(1, pixels - 1)
    found = []
    for begin, end in zip(edges.tolist(), edges[1:].tolist()):
        areas = torch.arange(begin, max(end, begin + 1))
        below, above = rising[(areas / AROUND).long()], rising[(areas * AROUND).long().clamp(max=pixels - 1)]
        rise = (1 + above).log() - (1 + below).log()
        found.append(float(rising[areas[rise.argmax()]]))
    return found
