"""Coarse masks made to follow a picture's borders: the masks of a draft, and weights for difference maps.

Masks [K, h, w] in 0..1 lie on a grid; maps [H, W] come one after the other. All tensors lie on one device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from .grid import Grid
from .guided import EPSILON, guided_upsampler, radius_of

# Windows of the filter for rough and for coarse masks, as shares of the picture's shorter side. Wider ones gain on
# scenes, whose things differ in colour, but not on photographs (docs/measured/pareto.md).
ROUGH, COARSE = 3 / 32, 5 / 32
FINE = 2 / 32  # of the second filter, when the mask of each pixel is nearly decided
SHARPNESS = 4  # power that maps are raised to between the two filters
LEAST = 1 / 64  # smaller shares of a pixel become 0, so nothing is computed far from a mask
SELDOM = 0.02  # weight of a map where its coarse mask does not reach at all


class Look(NamedTuple):
    """A picture whose borders masks of a grid follow."""

    picture: torch.Tensor  # [H, W, 3] of any size; the maps get the same size
    grid: Grid

    def on(self, device: torch.device) -> Look:
        return self._replace(picture=self.picture.to(device))

    def follow(
        self, masks: Iterable[torch.Tensor], share: float = COARSE, epsilon: float = EPSILON
    ) -> Iterator[torch.Tensor]:
        """Masks of the grid made to follow the picture's borders, in windows of a `share` of its shorter side."""
        upsample = self.filter(share, epsilon)
        for mask in masks:
            yield upsample(self.grid.enlarged(mask[None])[0])

    def filter(self, share: float, epsilon: float = EPSILON) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function that makes a map at working size follow the borders, in 0..1."""
        size = self.grid.working
        upsample = guided_upsampler(self.picture, size, radius_of(share, size), epsilon)
        return lambda values: upsample(values).clamp_(0, 1)


def drafted(look: Look, masks: torch.Tensor, step: Callable[[], None], room: int = 0) -> Iterator[torch.Tensor]:
    """Masks that follow the picture's borders, become shares of each pixel, and are sharpened by a second filter.

    After the first filter each map is raised to SHARPNESS and divided by the sum of all, then filtered in FINE windows
    (docs/measured/pareto.md). At most `room` bytes of maps are held in between, whatever K. For the other maps the
    first filter runs twice. `step` is called 2 K times, and may raise to cancel.
    """
    total = torch.zeros(look.picture.shape[:2], device=masks.device)
    held = deque[torch.Tensor]()
    for each in look.follow(masks):
        total += each.pow_(SHARPNESS)
        if (len(held) + 1) * each.nbytes <= room:
            held.append(each)
        step()
    again, others = look.filter(FINE), look.follow(masks[len(held) :])
    for _ in masks:
        each = held.popleft() if held else next(others).pow_(SHARPNESS)
        shares = each.div_(total.clamp_min(1e-12))
        yield again(shares.masked_fill_(shares < LEAST, 0))
        step()


def weighted(maps: Iterator[torch.Tensor], look: Look, masks: torch.Tensor) -> Iterator[torch.Tensor]:
    """Each d_i [H, W] multiplied by its coarse mask, which is made to follow the picture's borders first.

    The weight is SELDOM at least, so that a clear response overrules the coarse mask.
    """
    for each, mask in zip(maps, look.follow(masks), strict=True):
        yield each * mask.clamp_min(SELDOM).to(each)
