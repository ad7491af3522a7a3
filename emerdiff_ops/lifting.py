"""Lifting a coarse mask of any origin to pixels: modulated denoising (paper, section 3) of it against its rivals.

Masks are weights in 0..1, [N, h, w]; the maps are how strongly each pixel responds to a mask, [N, H, W].
"""

from __future__ import annotations

import torch

from .difference import evened

SUREST = 0.98  # no pixel counts as surer than this


def contenders(weights: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
    """What is pushed for each of N masks [N, h, w]: the mask, its complement, and R clusters [R, h, w] less the mask.

    [N * (2 + R), h, w], mask after mask.
    """
    rest = 1 - weights[:, None]  # [N, 1, h, w]
    return torch.cat([weights[:, None], rest, clusters * rest], 1).flatten(0, 1)


def contest(maps: torch.Tensor, count: int) -> torch.Tensor:
    """The response of each pixel to each of `count` masks: d_M / (d_M + d_rival), 0..1, [N, H, W].

    maps [N * (2 + R), H, W] of the `contenders`. Every map is divided by its maximum first, because a large mask
    gives a stronger map than a small one. The rival of a mask at a pixel is the weaker of its complement and the
    strongest cluster: a complement is most of the picture and may outweigh the mask everywhere; a cluster may run
    through the thing itself. A pixel that responds to none is outside.
    """
    masks, complements, *clusters = evened(maps, 1.0).unflatten(0, (count, -1)).unbind(1)
    rivals = torch.minimum(torch.stack(clusters).amax(0), complements) if clusters else complements
    return masks / (masks + rivals).clamp_min(1e-8)


def with_prior(response: torch.Tensor, rough: torch.Tensor) -> torch.Tensor:
    """The response with the rough mask as a prior: their log-odds are added. Both are 0..1, [N, H, W].

    Both weigh the same: with less of the rough mask, vague responses make masks worse.
    """
    odds, prior = (each.clamp(1 - SUREST, SUREST).logit() for each in (response, rough))
    return (odds + prior).sigmoid()


def with_peaks_of(smooth: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Smoothed masks scaled so that the largest value of each is what it was before: both [N, H, W] in 0..1.

    A mask that is smaller than the window it was smoothed in would fade, and with it what is known of where it lies.
    """
    before, after = (each.amax((1, 2), keepdim=True) for each in (masks, smooth))
    return smooth * (before / after.clamp_min(1e-8))


def shared_out(response: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The response [N, H, W] to each mask, less where the response to another mask that lies apart is stronger."""
    rivals = [torch.cat([response[each], 0 * response[:1]]).amax(0) for each in apart(weights)]
    return torch.minimum(response, response / (response + torch.stack(rivals)).clamp_min(1e-8))


def apart(masks: torch.Tensor) -> torch.Tensor:
    """Which of the masks [N, h, w] share less than half of the smaller one: [N, N] bool. Not a part and its whole."""
    flat = masks.flatten(1)
    area, common = flat.sum(1), torch.minimum(flat[:, None], flat).sum(2)
    return common < 0.5 * torch.minimum(area[:, None], area)


def kappa(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Cohen's kappa of two stacks of masks [N, H, W] bool: 1 where they are the same, 0 where they agree by chance."""
    one, other = one.flatten(1), other.flatten(1)
    agreed, mine, theirs = (each.float().mean(1) for each in (one == other, one, other))
    by_chance = mine * theirs + (1 - mine) * (1 - theirs)
    return (agreed - by_chance) / (1 - by_chance).clamp_min(1e-8)
