"""Pixel-adaptive refinement of masks, which DiffCut ends with if asked to (Araslanov and Roth 2020).

Every pixel takes, again and again, the mean of its neighbours near and farther, weighed by how like its colour theirs
is in units of the contrast around it. Published beside it is a median over the numbers of segments, which says nothing
of segments that have no order: it is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

ITERATIONS, DISTANCES = 10, (1, 2, 4, 8)  # published with DiffCut, for pictures of SIDE pixels
SIDE = 128
AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
SHARPNESS = 10.0  # of the weights, where a difference of colours is one standard deviation


def refined(masks: Tensor, picture: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Masks [K, H, W] that follow the picture [3, H, W] of their size."""
    around = neighbours(picture)  # [N, 3, H, W]
    contrast = around.std(0).clamp_min(1e-6)
    weights = (-SHARPNESS * ((around - picture).abs() / contrast).mean(1)).softmax(0)  # [N, H, W]
    for _ in range(iterations):
        masks = torch.stack([(weights * neighbours(mask[None])[:, 0]).sum(0) for mask in masks])
    return masks


def neighbours(maps: Tensor) -> Tensor:
    """The eight neighbours of every pixel of maps [C, H, W] at each of DISTANCES, borders repeated: [N, C, H, W]."""
    height, width = maps.shape[-2:]
    most = max(DISTANCES)
    wide = pad(maps[None], (most,) * 4, mode="replicate")[0]
    steps = [(distance * down, distance * right) for distance in DISTANCES for down, right in AROUND]
    return torch.stack([wide[:, most + y : most + y + height, most + x : most + x + width] for y, x in steps])
