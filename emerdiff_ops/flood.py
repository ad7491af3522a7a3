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

    A pixel lies at |value - value of the place|, a path at its largest. The best are in a minimum spanning tree.
    """
    height, width = values.shape
    levels = (values - values[place]).abs().double().flatten().numpy()
    order, parents = breadth_first_order(
        minimum_spanning_tree(_steps(levels, height, width)), place[0] * width + place[1], directed=False
    )
    parents[order[0]] = order[0]
    while (parents != order[0]).any():  # each round doubles the length of path that is covered
        levels = np.maximum(levels, levels[parents])
        parents = parents[parents]
    return torch.from_numpy(levels).float().view(height, width)


def _steps(levels: np.ndarray, height: int, width: int) -> coo_array:
    """The graph of neighbours. An edge weighs its larger level plus 1, because a sparse matrix has no entries of 0."""
    numbers = np.arange(height * width).reshape(height, width)
    pairs = ((numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:]))
    one, other = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    return coo_array((1 + np.maximum(levels[one], levels[other]), (one, other)), shape=(numbers.size,) * 2)
