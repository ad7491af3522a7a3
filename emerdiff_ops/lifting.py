"""Lifting a coarse mask of any origin to pixels: modulated denoising (paper, section 3) of it against its rivals.

Masks are weights in 0..1, [N, h, w]; the maps are how much each pixel answers to a mask, [N, H, W].
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
    """How far each pixel sides with each of `count` masks: d_M / (d_M + d_rival), 0..1, [N, H, W].

    maps [N * (2 + R), H, W] of the `contenders`. Every map is divided by its maximum first, as a large mask answers
    more loudly than a small one. The rival of a mask at a pixel is the weaker of its complement and the loudest
    cluster: a complement is most of the picture and may drown the mask everywhere; a cluster may run through the very
    thing. A pixel that answers to none is outside.
    """
    masks, complements, *clusters = evened(maps, 1.0).unflatten(0, (count, -1)).unbind(1)
    rivals = torch.minimum(torch.stack(clusters).amax(0), complements) if clusters else complements
    return masks / (masks + rivals).clamp_min(1e-8)


def with_prior(sides: torch.Tensor, rough: torch.Tensor) -> torch.Tensor:
    """What pixels side with, what came in being a prior: log-odds added up, both 0..1 and [N, H, W].

    Both count alike: with less of what came in, vague answers make masks worse (docs/measured/tools.md).
    """
    answer, prior = (each.clamp(1 - SUREST, SUREST).logit() for each in (sides, rough))
    return (answer + prior).sigmoid()


def with_peaks_of(smooth: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Smoothed masks scaled so that the largest value of each is what it was before: both [N, H, W] in 0..1.

    A mask that is smaller than the window it was smoothed in would fade, and with it what is known of where it lies.
    """
    before, after = (each.amax((1, 2), keepdim=True) for each in (masks, smooth))
    return smooth * (before / after.clamp_min(1e-8))


def shared_out(sides: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """What each pixel sides with [N, H, W], less what it sides more with: another mask that lies apart."""
    rivals = [torch.cat([sides[each], 0 * sides[:1]]).amax(0) for each in apart(weights)]
    return torch.minimum(sides, sides / (sides + torch.stack(rivals)).clamp_min(1e-8))


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
