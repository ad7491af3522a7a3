"""Conversions between a picture's pixels and the cells of a network's grid.

The model sees the picture at a working size. The picture lies in the top left corner of the area that the cells cover.
The VAE pads pictures to whole cells of the latent, a transformer to whole tokens, and a UNet rounds up wherever it
halves. The area beyond the picture is padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import interpolate, pad

from .difference import resize_maps

Size = tuple[int, int]  # height, width


class Grid(NamedTuple):
    """A grid over a picture."""

    cells: Size
    working: Size  # pixels of the picture as the model sees it
    covered: Size  # pixels that the cells cover, padding included

    def of_pixels(self, size: Sequence[int], device: torch.device | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The cell row of each pixel row of the picture at `size`, [H], and the cell column of each column, [W]."""
        rows, columns = (
            ((torch.arange(side, device=device) + 0.5) * (own * cells / (side * covered))).long().clamp(max=cells - 1)
            for side, own, cells, covered in zip(size, self.working, self.cells, self.covered, strict=True)
        )
        return rows, columns

    def of_points(self, points: Iterable[tuple[int, int]], size: Size) -> list[tuple[int, int]]:
        """The cells (row, column) that points (x, y) of the picture at `size` lie in, each once."""
        rows, columns = (each.tolist() for each in self.of_pixels(size))
        return list(dict.fromkeys((rows[y], columns[x]) for x, y in points))

    def reduced(self, side: int) -> Grid:
        """The same grid over the picture reduced to at most `side` pixels on its shorter side."""
        scale = min(1, side / min(self.working))
        working, covered = ((round(scale * size[0]), round(scale * size[1])) for size in (self.working, self.covered))
        return Grid(self.cells, working, covered)

    def of_segments(self, labels: torch.Tensor, count: int) -> torch.Tensor:
        """The number of pixels of each segment in each cell: labels [H, W] of the picture -> [h*w, count] float32."""
        (rows, columns), (height, width) = self.of_pixels(labels.shape, labels.device), self.cells
        cells = rows[:, None] * width + columns  # [H, W]
        pairs = (cells * count + labels.long()).flatten()
        return torch.bincount(pairs, minlength=height * width * count).view(-1, count).float()

    def shares(self, masks: torch.Tensor) -> torch.Tensor:
        """The share of each cell that a mask of the picture covers: [N, any, any] -> [N, h, w] in 0..1.

        The padding repeats the picture's borders, as it does for the VAE.
        """
        at_work = resize_maps(masks.float(), self.working)
        below, right = (whole - own for whole, own in zip(self.covered, self.working, strict=True))
        padded = pad(at_work[:, None], (0, right, 0, below), mode="replicate")
        return interpolate(padded, self.cells, mode="area")[:, 0]

    def enlarged(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps [K, h, w] on the cells enlarged to the picture at working size [K, H, W], the padding cut off."""
        height, width = self.working
        return resize_maps(maps.float(), self.covered)[:, :height, :width]


def grid_over(cells: Size, latent: Size, working: Size) -> Grid:
    """The grid of `cells` over a picture at `working` size, whose latent has the size (h', w').

    The side of a cell is a power of two: both the VAE and the UNet halve sizes, and round up.
    """
    cell = _side(latent, cells) * _side(working, latent)
    return Grid(cells, working, (cell * cells[0], cell * cells[1]))


def masks_on_grid(masks: torch.Tensor, cells: Size) -> torch.Tensor:
    """Masks [B, K, h, w] of one grid averaged over the cells of another."""
    return masks if tuple(masks.shape[-2:]) == tuple(cells) else interpolate(masks, tuple(cells), mode="area")


def _side(fine: Size, coarse: Size) -> int:
    """The side of a coarse cell in fine ones: the least power of two with which the coarse cells cover all."""
    most = max(-(-small // large) for small, large in zip(fine, coarse, strict=True))
    return 2 ** (most - 1).bit_length()
