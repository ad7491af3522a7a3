"""picture + phrases -> where the picture shows them, by a transformer in which picture and text are one stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.concepts import rivals_of
from ...emerdiff_ops.seeds import shares_of
from ..host import network
from ..host.clip import words_in_prompt
from ..host.places import Block
from ..host.progress import Progress, show_text
from ..host.recipes import SeedRecipe, seed_recipe_of
from ..host.seeds import AttendedWords
from ..host.session import capture_once
from .checks import check_conditioning, check_predicted, check_words_read
from .values import Size, size_of


class Told(NamedTuple):
    """MODEL, its recipe, the block to read, the conditioning, and the text's rows of each phrase and the background."""

    model: Any
    recipe: SeedRecipe
    block: Block
    conditioning: list
    phrases: list[list[int]]
    background: list[int]

    def hook(self, grid: Size) -> AttendedWords:
        """The hook that reads one evaluation."""
        own = network.transformer_of(self.model)
        groups = [*self.phrases, self.background] if self.background else self.phrases
        return AttendedWords(groups, *own.joint_attention(self.block, grid))


def seed_maps_of(model, clip, latents: Tensor, phrases: list[str], counter_words: list[str], seed: int) -> Tensor:
    """Each phrase's share of each token, among all phrases and the background: [B, P, h, w].

    The counter-words together are the background's phrase. latents [B, c, h', w'] are as the VAE gives them. Noise is
    drawn from `seed`, the same for all pictures.
    """
    told = told_of(model, clip, phrases, counter_words)
    progress = Progress()
    progress.expect("reading", len(latents), 1.0)
    maps = [_maps_of_picture(told, latent, seed, progress) for latent in latents.split(1)]
    blocks = len(network.transformer_of(model).blocks())
    show_text(f"words by FreeFuse, {told.block}: {told.recipe.source_of(blocks)}")
    every = rivals_of(phrases, [])
    return torch.stack(maps)[:, [every.index(phrase) for phrase in phrases]]


def told_of(model, clip, phrases: list[str], counter_words: list[str]) -> Told:
    """The phrases and counter-words as the prompt."""
    recipe = seed_recipe_of(model)
    assert recipe
    every, count = rivals_of(phrases, counter_words), len(set(phrases))
    conditioning, groups = words_in_prompt(clip, every, recipe)
    check_conditioning(model, conditioning)
    blocks = list(network.transformer_of(model).blocks())
    block = blocks[int(recipe.share * len(blocks))]
    background = [row for group in groups[count:] for row in group]
    return Told(model, recipe, block, conditioning, groups[:count], background)


def _maps_of_picture(told: Told, latent: Tensor, seed: int, progress: Progress) -> Tensor:
    """Each phrase's share of each token, [n, h, w]."""
    grid = network.of(told.model).grid_of(told.block, size_of(latent))
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    hook = told.hook(grid)
    capture_once(told.model, told.conditioning, latent, told.recipe.level, hook, noise)
    progress.step("reading")
    check_words_read(hook.features is not None and hook.scores is not None)
    assert hook.features is not None and hook.scores is not None
    count = len(told.phrases)
    background = hook.scores[count] if told.background else None
    shares = shares_of(hook.scores[:count], background, check_predicted(hook.features[0]))
    return shares.unflatten(1, grid).cpu()
