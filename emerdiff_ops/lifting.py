"""Lifting a coarse mask of any origin to pixels: modulated denoising (paper, section 3) of it against its complement.

Masks are weights in 0..1, [N, h, w]; the maps are how much each pixel answers to a mask, [N, H, W].
"""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate, pad

from .difference import evened, resize_maps


def deal_out(masks: torch.Tensor, pictures: int) -> torch.Tensor:
    """MASK [M, H, W] as [pictures, N, H, W]: M = pictures * N, picture after picture, or one mask for all pictures.

    Raises ValueError when the masks cannot be dealt out.
    """
    if len(masks) == 1:
        return masks.expand(pictures, 1, -1, -1)
    if len(masks) % pictures:
        raise ValueError(
            f"{len(masks)} masks cannot be dealt out to {pictures} pictures: give one mask for all of them, or the "
            "same number for each, picture after picture"
        )
    return masks.unflatten(0, (pictures, -1))


def coarse_weights(
    masks: torch.Tensor, working_size: tuple[int, int], padded_size: tuple[int, int], grid: tuple[int, int]
) -> torch.Tensor:
    """The share of each grid cell that a mask covers: [N, H, W] of any size -> [N, h, w] in 0..1.

    A mask covers the whole picture, whose working size the VAE pads at the right and at the bottom.
    """
    at_work = resize_maps(masks.float(), working_size)
    beyond = (0, padded_size[1] - working_size[1], 0, padded_size[0] - working_size[0])
    padded = pad(at_work[:, None], beyond, mode="replicate")
    return interpolate(padded, grid, mode="area")[:, 0]  # [N, h, w]


def against_complement(weights: torch.Tensor) -> torch.Tensor:
    """Every mask followed by its complement: [N, h, w] -> [2N, h, w]."""
    return torch.stack([weights, 1 - weights], 1).flatten(0, 1)


def contest(maps: torch.Tensor) -> torch.Tensor:
    """How far each pixel sides with the mask: d_M / (d_M + d_complement), 0..1, [2N, H, W] -> [N, H, W].

    Both maps are divided by their maxima first, as a large mask answers more loudly than a small one. A pixel that
    answers to neither counts as outside.
    """
    mine, others = evened(maps, 1.0).unflatten(0, (-1, 2)).unbind(1)
    return mine / (mine + others).clamp_min(1e-8)
