"""Fewer runs than masks: masks that lie apart share a run, and each pixel's answer goes to the nearest of them.

masks [K, h, w] on the UNet's grid. A mask's connected parts count one by one, so that scattered masks share too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

NEIGHBOURS = np.ones((3, 3))


class Part(NamedTuple):
    mask: int
    cells: np.ndarray  # [h, w] bool


def grouped(masks: torch.Tensor, apart: int) -> list[list[Part]]:
    """Parts in groups in which any two are more than `apart` cells from each other (DSATUR colouring)."""
    parts = [part for number, mask in enumerate(masks.numpy() > 0.5) for part in connected(number, mask)]
    far = [ndimage.distance_transform_cdt(~part.cells, "chessboard") for part in parts]
    close = np.array([[a[b.cells].min() <= apart for b in parts] for a in far]) & ~np.eye(len(parts), dtype=bool)
    colour: dict[int, int] = {}
    while len(colour) < len(parts):
        taken = {part: {colour[other] for other in np.flatnonzero(close[part]).tolist() if other in colour}
                 for part in range(len(parts)) if part not in colour}  # fmt: skip
        part = max(taken, key=lambda each: (len(taken[each]), close[each].sum()))
        colour[part] = next(number for number in range(len(parts)) if number not in taken[part])
    return [[parts[part] for part in colour if colour[part] == number] for number in sorted(set(colour.values()))]


def connected(number: int, mask: np.ndarray) -> list[Part]:
    labels, count = ndimage.label(mask, NEIGHBOURS)
    return [Part(number, labels == part) for part in range(1, count + 1)]


def union(group: list[Part]) -> torch.Tensor:
    """The cells of all parts of a group [h, w]."""
    return torch.from_numpy(np.any([part.cells for part in group], axis=0)).float()


def owners(group: list[Part], size: tuple[int, int]) -> torch.Tensor:
    """At each of H x W positions the mask whose part is nearest."""
    rows, columns = group[0].cells.shape
    numbers = np.full((rows, columns), -1)
    for part in group:
        numbers[part.cells] = part.mask
    numbers = np.kron(numbers, np.ones((size[0] // rows, size[1] // columns), np.int64))
    nearest = ndimage.distance_transform_edt(numbers < 0, return_distances=False, return_indices=True)
    return torch.from_numpy(numbers[tuple(nearest)])


def difference_maps(answers: torch.Tensor, groups: list[list[Part]], count: int) -> torch.Tensor:
    """Maps [K, H, W] of the groups' answers [R, H, W]: a mask gets what it owns of each."""
    maps = torch.zeros(count, *answers.shape[1:])
    for answer, group in zip(answers, groups):
        owned = owners(group, tuple(answer.shape)) == torch.arange(count)[:, None, None]
        maps = torch.maximum(maps, torch.where(owned, answer, 0.0))
    return maps
