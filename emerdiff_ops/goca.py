"""Word maps from cross-attention, with weights for heads, layers and words (GoCA, CVPR 2026, arXiv 2603.06178).

A_lh = softmax(Q K^T / sqrt d) of layer l and head h is the attention of each place to each token of the text, [places,
tokens]. 1. A head is weighted by its part of the layer's output, place by place. 2. A layer is weighted by how well its
self-attention agrees with a reference feature. 3. A word's map is its share of all words. 4. Self-attention propagates
the maps. Everything here is of one picture, float32; maps [h*w, ...] lie on grids (h, w).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch.nn.functional import interpolate, pad

from .text_scores import TINY, from_least_to_most

BLUR, SIGMA = 5, 1.1  # cells; the sigma that torchvision takes for a kernel of 5
STEPS = 2  # of propagation along the picture's self-attention

Size = tuple[int, int]  # height, width


def attention_maps(query: torch.Tensor, key: torch.Tensor, heads: int) -> torch.Tensor:
    """softmax(Q K^T / sqrt d) of each head, [heads, n, m]: query [n, heads * d], key [m, heads * d]."""
    query, key = (rearrange(each, "n (h d) -> h n d", h=heads) for each in (query, key))
    return (query @ key.transpose(1, 2) * query.shape[-1] ** -0.5).softmax(-1, dtype=torch.float32)


def over_heads(maps: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """The heads' maps [heads, n, m] combined into [n, m], weighted by their outputs o_h = A_h V_h W_h [heads, n, C].

    The weight of head h at a place is <o_h, o> / <o, o>, o the sum of all; negative where the head works against o.
    """
    parts = (outputs.float() * outputs.float().sum(0)).sum(-1)  # [heads, n]
    weights = parts / parts.sum(0).clamp_min(TINY)
    return (maps * weights[..., None]).sum(0)


def on_grid(own: torch.Tensor, cells: Size, grid: Size) -> torch.Tensor:
    """Self-attention [h*w, h*w] on another grid: keys are interpolated bilinearly, queries repeated or left out."""
    if cells == grid:
        return own
    keys = interpolate(own.unflatten(1, cells)[:, None], grid, mode="bilinear").flatten(1)  # [h*w, new]
    return interpolate(keys.T.unflatten(1, cells)[:, None], grid, mode="nearest").flatten(1).T


def agreement(own: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """sum R S of a layer's self-attention S [r, r] and R = softmax(f f^T / sqrt C) of a feature f [r, C]."""
    return (attention_maps(reference, reference, 1)[0] * own).sum()


def over_layers(maps: list[torch.Tensor], cells: list[Size], weights: torch.Tensor, grid: Size) -> torch.Tensor:
    """The layers' maps [h*w, tokens], each on its cells, combined on one grid: [new, tokens], sum 1 at each place.

    weights [layers]; a layer with a negative weight is left out.
    """
    shares = weights.clamp_min(0) / weights.clamp_min(0).sum()
    total = torch.stack([
        share * interpolate(each.T.unflatten(1, own)[None], grid, mode="bilinear")[0].flatten(1).T
        for share, each, own in zip(shares, maps, cells, strict=True)
    ]).sum(0)  # fmt: skip
    total = total.clamp_min(0)
    return total / total.sum(1, keepdim=True).clamp_min(TINY)


def word_maps(maps: torch.Tensor, groups: torch.Tensor, grid: Size) -> torch.Tensor:
    """Each word's share of all words, [P, h, w], smoothed and rescaled to 0..1; maps [h*w, tokens].

    groups [P, tokens], 1 where a token belongs to the word. Tokens of no word (start, end, padding) are left out.
    """
    tokens = min(groups.shape[1], maps.shape[1])
    maps, groups = maps[:, :tokens], groups[:, :tokens].to(maps)
    means = maps @ (groups / groups.sum(1, keepdim=True).clamp_min(1)).T  # [h*w, P]
    shares = means / (maps @ groups.amax(0)).clamp_min(TINY)[:, None]
    return from_least_to_most(smoothed(shares.T.unflatten(1, grid)))


def smoothed(maps: torch.Tensor) -> torch.Tensor:
    """Maps [P, h, w] smoothed by a Gaussian of 5 x 5 cells, mirrored at the borders; smaller grids are unchanged."""
    if min(maps.shape[1:]) <= BLUR // 2:
        return maps
    places = torch.arange(BLUR, device=maps.device) - BLUR // 2
    kernel = (-0.5 * (places / SIGMA) ** 2).exp()
    kernel = kernel / kernel.sum()
    padded = pad(maps[:, None], (BLUR // 2,) * 4, mode="reflect")
    return torch.nn.functional.conv2d(padded, (kernel[:, None] * kernel)[None, None])[:, 0]


def carried(maps: torch.Tensor, own: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Maps [P, h, w] propagated along self-attention, own [h*w, h*w]: M <- S^k M, rescaled to 0..1."""
    flat = maps.flatten(1).T
    for _ in range(steps):
        flat = own @ flat
    return from_least_to_most(flat.T.unflatten(1, maps.shape[1:]))
