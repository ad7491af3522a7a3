"""Readings of a picture with mirrored surroundings, flipped and between its cells, so features follow its borders less.

The zero padding of a UNet's convolutions, and its sense of left and right, leak into the features, so clusters follow
the picture's borders (a weakness that the paper names). A view is a canvas that is read in place of the picture. Its
features are then brought back to the picture's own grid. The paper reads the picture as it is.

Views are made of latents [B, c, h', w'], so a picture is encoded once. Features [B, h, w, C] lie on a grid whose cells
are `cell` latent cells on a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from .difference import mirrored_indices

Pair = tuple[int, int]  # height, width, or row, column


class View(NamedTuple):
    """One canvas: the picture begins at its place `begin`, and mirror images fill the rest."""

    begin: Pair
    canvas: Pair  # latent cells, whole cells of the grid
    first: int  # the row and the column of the canvas's grid where the picture's own cells begin
    half: Pair  # which of the finer grid's cells this view reads: 0 or 1 each way
    mirrored: bool


def views(surroundings: float, mirrored: bool, dense: bool, size: Pair, grid: Pair, cell: int) -> list[View]:
    """The canvases for latents of `size` (h', w') that are read on `grid` (h, w).

    surroundings: the share of the shorter side by which the picture is mirrored outwards on all sides, in whole cells,
    at least one; mirrored: each canvas is also read flipped left to right; dense: canvases at all four shifts by half
    a cell, which need a cell of surroundings. Without any of these the picture is its own canvas.

    Raises ValueError if `dense` is set for a layer that has a cell for every latent cell: nothing lies between.
    """
    if not (surroundings or mirrored or dense):
        return [View((0, 0), size, 0, (0, 0), False)]
    if dense and cell == 1:
        raise ValueError(
            "this feature_layer has a cell for every cell of the latent, so there is nothing to read between them: "
            "turn dense off"
        )
    around = max(1, round(surroundings * min(size) / cell)) if surroundings or dense else 0
    canvas = cell * (grid[0] + 2 * around), cell * (grid[1] + 2 * around)
    shifts = [(0, cell // 4), (1, cell // 4 - cell // 2)] if dense else [(0, 0)]
    return [
        View((around * cell + down, around * cell + right), canvas, around, (row, column), flipped)
        for row, down in shifts
        for column, right in shifts
        for flipped in (False, True)[: 1 + mirrored]
    ]


def canvas_of(latent: torch.Tensor, view: View) -> torch.Tensor:
    """The canvas of a view: [B, c, h', w'] -> [B, c, *view.canvas], mirrored outwards as often as needed."""
    rows, columns = (
        mirrored_indices(length, begin, side, latent.device)
        for length, begin, side in zip(view.canvas, view.begin, latent.shape[-2:])
    )
    canvas = latent[..., rows, :][..., columns]
    return canvas.flip(-1) if view.mirrored else canvas


def mean_reading(read: Iterator[tuple[View, torch.Tensor]], grid: Pair, dense: bool) -> torch.Tensor:
    """The mean features [B, h, w, C] of the picture over all canvases; `dense` doubles h and w."""
    finer = 2 if dense else 1
    total, count = None, 0
    for view, features in read:
        own = features.flip(2) if view.mirrored else features
        own = own[:, view.first : view.first + grid[0], view.first : view.first + grid[1]]
        if total is None:
            total = own.new_zeros(own.shape[0], finer * grid[0], finer * grid[1], own.shape[3])
        total[:, view.half[0] :: finer, view.half[1] :: finer] += own
        count += 1
    if total is None:
        raise ValueError("a picture is read at least once")
    return total * finer**2 / count
