"""Flood a map of values from a place: the level at which each pixel is reached.

Of all paths from the place to a pixel, the one whose largest difference from the place's value is least counts. So
another thing with a similar value is reached only at the level of what lies between. Runs on the processor.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree


def flood(values: torch.Tensor, place: tuple[int, int]) -> torch.Tensor:
    """The least level at which each pixel is reached from `place` (row, column), by 4 neighbours: [H, W] float32.

    A pixel lies at |value - value of the place|, a path at its largest. From each pixel a path that never rises leads
    to the bottom of its basin, and costs no more than the pixel. So only paths between basins are searched.
    """
    levels = (values - values[place]).abs().float().numpy()
    basins = _basins(levels)
    reached = _reached(*_steps_between(levels, basins), basins[place])
    return torch.from_numpy(np.maximum(levels, reached[basins]))


def _basins(levels: np.ndarray) -> np.ndarray:
    """The number of each pixel's basin [H, W]. Where neighbours are equal, the later one flows to the earlier one."""
    numbers = np.arange(levels.size, dtype=np.int32).reshape(levels.shape)
    flows = numbers.copy()
    for turn in (np.asarray, np.transpose):
        own, level, number = turn(flows), turn(levels), turn(numbers)
        np.copyto(own[1:], number[:-1], where=level[:-1] <= level[1:])
        np.copyto(own[:-1], number[1:], where=level[1:] < level[:-1])
    bottoms, ends = (flows == numbers).ravel(), flows.ravel()
    while not bottoms[ends].all():  # each round doubles the length of path that is covered
        ends = ends[ends]
    return (bottoms.cumsum(dtype=np.int32) - 1)[ends].reshape(levels.shape)


def _steps_between(levels: np.ndarray, basins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The costs [E] of the cheapest step between any two basins, rising, and the basins' numbers [2, E]."""
    costs, pairs = [], []
    for turn in (np.asarray, np.transpose):
        level, own = turn(levels), turn(basins)
        across = (own[1:] != own[:-1]).nonzero()
        one, other = own[1:][across], own[:-1][across]
        costs.append(np.maximum(level[1:][across], level[:-1][across]))
        pairs.append(np.minimum(one, other).astype(np.int64) * basins.size + np.maximum(one, other))
    cost, pair = np.concatenate(costs), np.concatenate(pairs)
    order = cost.argsort()
    first = order[np.sort(np.unique(pair[order], return_index=True)[1])]
    return cost[first], np.stack(divmod(pair[first], basins.size))


def _reached(costs: np.ndarray, ends: np.ndarray, start: int) -> np.ndarray:
    """The largest cost on the best path from basin `start` to each. The best are in a minimum spanning tree.

    A step weighs its rank, because a sparse matrix has no entries of 0.
    """
    count = int(ends.max(initial=0)) + 1
    tree = minimum_spanning_tree(coo_array((np.arange(len(costs)) + 1, tuple(ends)), shape=(count, count))).tocoo()
    parents = breadth_first_order(tree, start, directed=False)[1]
    parents[start] = start
    rank = np.zeros(count, int)
    rank[np.where(parents[tree.col] == tree.row, tree.col, tree.row)] = tree.data
    while (parents != start).any():
        rank, parents = np.maximum(rank, rank[parents]), parents[parents]
    return np.concatenate([[0], costs])[rank].astype(costs.dtype)
