"""Coarse masks along a picture's borders: what a draft is, and what weights the maps of a lifted one.

Masks [K, h, w] in 0..1 on a grid; maps [H, W], one after the other. Everything lies on one device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from .grid import Grid
from .guided import EPSILON, guided_upsampler, radius_of

# Of the shorter side, the windows in which masks find the borders they mean. Wider ones gain on scenes, whose things
# differ in colour, and no more on photographs (docs/measured/pareto.md).
ROUGH, COARSE = 3 / 32, 5 / 32
FINE = 2 / 32  # the second time, where each pixel has nearly decided
SHARPNESS = 4  # power of the maps in between
LEAST = 1 / 64  # share of a pixel; less is none, so that far from a mask nothing is computed
SELDOM = 0.02  # share of a map that its coarse mask leaves where it does not reach at all


class Look(NamedTuple):
    """A picture whose borders masks of a grid follow."""

    picture: torch.Tensor  # [H, W, 3] of any size, which the maps then have
    grid: Grid

    def on(self, device: torch.device) -> Look:
        return self._replace(picture=self.picture.to(device))

    def follow(
        self, masks: Iterable[torch.Tensor], share: float = COARSE, epsilon: float = EPSILON
    ) -> Iterator[torch.Tensor]:
        """Masks of the grid along the picture's borders; windows are a `share` of the picture's shorter side."""
        upsample = self.filter(share, epsilon)
        for mask in masks:
            yield upsample(self.grid.enlarged(mask[None])[0])

    def filter(self, share: float, epsilon: float = EPSILON) -> Callable[[torch.Tensor], torch.Tensor]:
        """What makes a map at working size follow the borders, in 0..1."""
        size = self.grid.working
        upsample = guided_upsampler(self.picture, size, radius_of(share, size), epsilon)
        return lambda values: upsample(values).clamp_(0, 1)


def drafted(look: Look, masks: torch.Tensor, step: Callable[[], None], room: int = 0) -> Iterator[torch.Tensor]:
    """Masks that share the pixels out, along the picture's borders, and sharper once more.

    After the first filter each map is raised to SHARPNESS and divided by the sum of all, then filtered in FINE windows
    (docs/measured/pareto.md). Maps of `room` bytes are held in between, whatever K; for the others the first filter
    runs twice. `step` is called 2 K times, and may raise to cancel.
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
    """Each d_i [H, W] times how far the coarse mask it comes from, along the picture's borders, covers the pixel.

    At least SELDOM is left of a map anywhere, so that a clear response overrules its coarse mask.
    """
    for each, mask in zip(maps, look.follow(masks), strict=True):
        yield each * mask.clamp_min(SELDOM).to(each)
