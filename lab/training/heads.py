"""What the queries that features are read from are held to: to tell linearly what their cell shows.

Stable Diffusion's features tell this after years of denoising. Some minutes of denoising leave them to the cells'
position: the heads stand in for the years. Nothing reads them but the training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, pixel_unshuffle

BLOCKS = (3, 4, 5)  # of the output: the coarsest level with text
CELLS = 4  # of the latent, on a side of a cell of these blocks
PARTS = 2  # on a side of such a cell, whose latents are told apart
WORDS = 0.3  # weight of the words beside the latents


class Heads(torch.nn.Module):
    """A linear reading of the queries of each block; the queries are those of the UNet's last evaluation."""

    def __init__(self, unet: Any, channels: int, words: int):
        super().__init__()
        self.latents = channels * PARTS**2
        layers = [unet.output_blocks[number][1].transformer_blocks[0].attn2.to_q for number in BLOCKS]
        self.heads = torch.nn.ModuleList(torch.nn.Linear(each.out_features, self.latents + words) for each in layers)
        self.queries: dict[int, torch.Tensor] = {}
        for number, layer in enumerate(layers):
            layer.register_forward_hook(lambda _, __, output, number=number: self.queries.update({number: output}))

    def loss(self, x0: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """[N]: of latents [N, c, h, w] and of the words' numbers [N, h, w], 0 where nobody named anything."""
        parts = torch.nn.functional.avg_pool2d(x0, CELLS // PARTS)
        shown = pixel_unshuffle(parts, PARTS).flatten(2).movedim(1, 2)  # [N, cells, 4 * PARTS**2]
        named = tokens[:, CELLS // 2 :: CELLS, CELLS // 2 :: CELLS].flatten(1).long()  # [N, cells]
        return torch.stack([self._loss(n, shown, named) for n in range(len(self.heads))]).mean(0)

    def _loss(self, number: int, shown: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
        return missed(self.heads[number](self.queries[number].float()), shown, named)


def missed(told: torch.Tensor, shown: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
    """[N]: how far what is told [N, cells, C + words] is from the latents [N, cells, C] and the words' numbers."""
    latents = shown.shape[-1]
    error = (told[..., :latents] - shown).square().mean((1, 2))
    wrong = cross_entropy(told[..., latents:].movedim(2, 1), named, ignore_index=0, reduction="none")
    return error + WORDS * wrong.sum(1) / (named > 0).sum(1).clamp_min(1)
