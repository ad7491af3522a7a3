"""Nested masks of the thing under a point, from fine to coarse, in one map of levels.

One point does not tell how large a thing is meant. The map gives each pixel the level at which it joins, 0 the finest.
The mask of a level holds the pixels that join at it or at a finer one. Masks [H, W] bool, on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch

ALIKE = 0.85  # two masks with at least this intersection over union are one level
LEAST, MOST, RANGES = 0.002, 0.8, 24  # a flood has levels between these shares of the picture, one in each range
AROUND = 1.05  # a flood's rise is measured between areas smaller and larger by this factor


class Levels(NamedTuple):
    joins: torch.Tensor  # [H, W] int16; `count` where a pixel never joins
    count: int  # type: ignore[assignment]  # hides the method tuple.count, which nothing calls
    first: int  # the level shown by default

    def at(self, steps: int) -> torch.Tensor:
        """The mask `steps` levels above the first (negative: below it), or of the nearest level that exists."""
        return self.joins <= min(max(self.first + steps, 0), self.count - 1)

    def shares(self) -> torch.Tensor:
        """[H, W] float32: the share of n levels that hold a pixel: 1 for all, 1/n for the last alone, 0 for none."""
        return 1 - self.joins.float() / self.count


def nested(first: torch.Tensor, others: Sequence[torch.Tensor]) -> Levels:
    """Levels from masks. `first` stays as it is; smaller masks are cut to lie in it, larger ones are united with it.

    A mask that nearly equals the level before it is left out, and so is one that becomes empty.
    """
    by_area = sorted(((area_of(mask), mask) for mask in others), key=itemgetter(0))
    area = area_of(first)
    finer, coarser = [first], [first]
    for mask in reversed([mask for own, mask in by_area if own <= area]):
        mask = mask & finer[-1]
        if mask.any() and overlap(mask, finer[-1]) < ALIKE:
            finer.append(mask)
    for mask in (mask for own, mask in by_area if own > area):
        mask = mask | coarser[-1]
        if overlap(mask, coarser[-1]) < ALIKE:
            coarser.append(mask)
    levels = [*finer[:0:-1], *coarser]
    joins = torch.full(first.shape, len(levels), dtype=torch.int16)
    for mask in levels:
        joins -= mask.to(torch.int16)
    return Levels(joins, len(levels), len(finer) - 1)


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Intersection over union of two masks; 1 for two empty masks."""
    both, either = area_of(one & other), area_of(one | other)
    return both / either if either else 1.0


def area_of(mask: torch.Tensor) -> int:
    return int(np.count_nonzero(mask.numpy()))  # torch takes 7 times as long


def rises(reached: torch.Tensor) -> list[float]:
    """The thresholds at which a flood [H, W] rises most steeply over its area: one in each range of areas."""
    rising, pixels = torch.from_numpy(np.sort(reached.flatten())), reached.numel()  # torch sorts ten times as long
    edges = (LEAST * (MOST / LEAST) ** (torch.arange(RANGES + 1) / RANGES) * pixels).long().clamp(1, pixels - 1)
    areas, logs = torch.arange(pixels), (1 + rising).log()
    rise = logs[(areas * AROUND).long().clamp(max=pixels - 1)] - logs[(areas / AROUND).long()]
    steepest = [begin + int(rise[begin : max(end, begin + 1)].argmax()) for begin, end in pairwise(edges.tolist())]
    return rising[steepest].tolist()
