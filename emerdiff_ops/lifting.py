"""Lift a coarse mask of any origin to pixels: modulated denoising (paper, section 3) of the mask and its rivals.

Masks are weights in 0..1, [N, h, w]; maps hold the response of each pixel to a mask, [N, H, W].
"""

from __future__ import annotations

import torch

from .difference import evened

SUREST = 0.98  # no probability counts as larger than this


def contenders(weights: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
    """The masks to modulate for each of N masks [N, h, w]: itself, its complement, R clusters [R, h, w] minus it.

    [N * (2 + R), h, w], mask after mask.
    """
    rest = 1 - weights[:, None]  # [N, 1, h, w]
    return torch.cat([weights[:, None], rest, clusters * rest], 1).flatten(0, 1)


def contest(maps: torch.Tensor, count: int) -> torch.Tensor:
    """The response of each pixel to each of `count` masks: d_M / (d_M + d_rival), 0..1, [N, H, W].

    maps [N * (2 + R), H, W] of the `contenders`. Every map is divided by its maximum first, because a large mask
    gives a stronger map than a small one. The rival of a mask at a pixel is the weaker of its complement and the
    strongest cluster. A complement covers most of the picture and may outweigh the mask everywhere. A cluster may run
    through the thing itself. A pixel that responds to none of them gets 0.
    """
    masks, complements, *clusters = evened(maps, 1.0).unflatten(0, (count, -1)).unbind(1)
    rivals = torch.minimum(torch.stack(clusters).amax(0), complements) if clusters else complements
    return masks / (masks + rivals).clamp_min(1e-8)


def with_prior(response: torch.Tensor, rough: torch.Tensor) -> torch.Tensor:
    """The response with the rough mask as a prior: their log-odds are added. Both are 0..1, [N, H, W].

    Both have the same weight: with less weight on the rough mask, vague responses make masks worse.
    """
    odds, prior = (each.clamp(1 - SUREST, SUREST).logit() for each in (response, rough))
    return (odds + prior).sigmoid()


def with_peaks_of(smooth: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Smoothed masks, each scaled to the maximum that it had before smoothing: both [N, H, W] in 0..1.

    Otherwise a mask smaller than the smoothing window would fade, and its position would be lost.
    """
    before, after = (each.amax((1, 2), keepdim=True) for each in (masks, smooth))
    return smooth * (before / after.clamp_min(1e-8))


def shared_out(response: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The response r [N, H, W] to each mask, capped at r / (r + the strongest response to a mask `apart` from it)."""
    rivals = [torch.cat([response[each], 0 * response[:1]]).amax(0) for each in apart(weights)]
    return torch.minimum(response, response / (response + torch.stack(rivals)).clamp_min(1e-8))


def apart(masks: torch.Tensor) -> torch.Tensor:
    """Which masks [N, h, w] share less than half of the smaller one, unlike a part and its whole: [N, N] bool."""
    flat = masks.flatten(1)
    area, common = flat.sum(1), torch.minimum(flat[:, None], flat).sum(2)
    return common < 0.5 * torch.minimum(area[:, None], area)


def kappa(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Cohen's kappa of two stacks of masks [N, H, W] bool: 1 where they are the same, 0 where they agree by chance."""
    one, other = one.flatten(1), other.flatten(1)
    agreed, mine, theirs = (each.float().mean(1) for each in (one == other, one, other))
    by_chance = mine * theirs + (1 - mine) * (1 - theirs)
    return (agreed - by_chance) / (1 - by_chance).clamp_min(1e-8)
