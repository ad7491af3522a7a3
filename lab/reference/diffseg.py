"""DiffSeg from its equations, to compare with (Tian et al. 2024): self-attention maps of every grid, merged.

The map of a place says where it looks, a distribution over the picture; places whose maps are alike are one segment.
Published for grids of 64, 32, 16 and 8 cells a side: their weights are in proportion to their sides here too, and
anchors are 16 a side at most. Nothing of the pack is used. Of maps [..., h, w] the last two axes are the keys'.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

ANCHORS = 16  # on a side, at most
ITERATIONS = 3
THRESHOLD = 1.1  # published for COCO-Stuff; .9 for Cityscapes
LEAST = 1e-30  # of a probability, before its logarithm


def aggregated(layers: Iterable[Tensor]) -> Tensor:
    """One distribution [H, W] for every place [H, W] of the finest grid, from the maps [h, w, h, w] of all layers.

    Layers of a grid count by their mean, and grids by their shorter sides: 64:32:16:8 in Stable Diffusion 1.5.
    """
    grids: dict[tuple[int, int], list[Tensor]] = {}
    for maps in layers:
        grids.setdefault((maps.shape[0], maps.shape[1]), []).append(maps)
    finest, total = max(grids), sum(map(min, grids))
    weighted = [min(grid) / total * enlarged(torch.stack(maps).mean(0), finest) for grid, maps in grids.items()]
    return torch.stack(weighted).sum(0)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [h, w, h, w] as [H, W, H, W]: each enlarged bilinearly and of sum 1, for the cells that its place covers."""
    grid = maps.shape[:2]
    large = interpolate(maps.flatten(0, 1)[:, None], size, mode="bilinear")[:, 0]  # [h*w, H, W]
    large = (large / large.sum((1, 2), keepdim=True)).unflatten(0, grid)
    rows, columns = (torch.arange(side) * own // side for own, side in zip(grid, size))
    return large[rows[:, None], columns]


def proposals(maps: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Distributions [K, H, W] that the maps [H, W, H, W] merge to; K follows from the `threshold` of divergence.

    First every anchor takes the mean of all maps that are near it; then proposals that are near each other merge.
    """
    every = maps.flatten(2).flatten(0, 1)  # [places, places]
    anchors = maps[at_most(maps.shape[0])][:, at_most(maps.shape[1])].flatten(2).flatten(0, 1)
    near = (divergences(anchors, every) < threshold).to(every)
    found = near @ every / near.sum(1, keepdim=True)
    for _ in range(ITERATIONS - 1):
        found = merged(found, threshold)
    return found.unflatten(1, maps.shape[2:])


def at_most(side: int) -> slice:
    """Every cell of a side, or so many as ANCHORS allows: the second of every four where there are 64."""
    stride = -(-side // ANCHORS)
    return slice((stride - 1) // 2, None, stride)


def merged(found: Tensor, threshold: float) -> Tensor:
    """Proposals [K, n] -> [k, n], greedily: the next that is in none yet, and the mean of all that are near it.

    Those that are in one already count again in the mean.
    """
    near = divergences(found, found) < threshold
    matched, means = torch.zeros(len(found), dtype=torch.bool), []
    for number in range(len(found)):
        if not matched[number]:
            means.append(found[near[number]].mean(0))
            matched |= near[number].cpu()
    return torch.stack(means)


def divergences(some: Tensor, others: Tensor) -> Tensor:
    """(KL(x || y) + KL(y || x)) / 2 of distributions x [m, n] and y [k, n]: [m, k]."""
    log_x, log_y = (each.clamp_min(LEAST).log() for each in (some, others))
    own_x, own_y = (some * log_x).sum(1), (others * log_y).sum(1)
    return (own_x[:, None] + own_y - some @ log_y.T - log_x @ others.T) / 2
