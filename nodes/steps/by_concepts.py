"""picture + phrases -> where the picture shows them, by a transformer whose text has a stream of its own."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.concepts import concept_maps, rivals_of
from ..host import hooks, network
from ..host.clip import concepts_of, conditioning_of
from ..host.concepts import Concepts
from ..host.progress import Progress, show_text
from ..host.recipes import Recipe, recipe_of, stack_of
from ..host.session import run_session
from ..host.unet import network_of
from .checks import check_conditioning, check_predicted, check_words_read
from .values import Size, size_of


class Looked(NamedTuple):
    """One search: MODEL, its recipe, the conditioning and the concepts as vectors."""

    model: Any
    recipe: Recipe
    conditioning: list
    words: Tensor  # [1, n, width]

    def hook(self, grid: Size, level: float) -> Concepts:
        """The hook that scores the concepts in one evaluation at a share of noise."""
        blocks = self.recipe.blocks(len(stack_of(self.model)))
        embed = partial(self.recipe.embed, network_of(self.model), network.timestep_of(self.model, level))
        return Concepts(self.recipe, blocks, self.words, embed, grid[0] * grid[1])


def concept_maps_of(model, clip, latents: Tensor, phrases: list[str], counter_words: list[str], seed: int) -> Tensor:
    """Each phrase's share of each token, among all phrases and counter-words: [B, P, h, w].

    latents [B, c, h', w'] are as the VAE gives them. Noise is drawn from `seed`, the same for all pictures.
    """
    rivals = rivals_of(phrases, counter_words)
    look = looked_for(model, clip, phrases, rivals)
    progress = Progress()
    progress.expect("reading", len(latents) * len(look.recipe.levels), 1.0)
    maps = [_maps_of_picture(look, latent, seed, progress) for latent in latents.split(1)]
    show_text(f"words by ConceptAttention: {look.recipe.source}")
    return torch.stack(maps)[:, [rivals.index(phrase) for phrase in phrases]]


def looked_for(model, clip, phrases: list[str], rivals: list[str]) -> Looked:
    """A search with the phrases as the prompt and `rivals` as the concepts."""
    recipe = recipe_of(model)
    assert recipe
    conditioning = conditioning_of(clip, ", ".join(f"a {phrase}" for phrase in phrases))
    check_conditioning(model, conditioning)
    told = [[text, _told(extras, recipe)] for text, extras in conditioning]
    return Looked(model, recipe, told, concepts_of(clip, rivals, recipe))


def _told(extras: dict, recipe: Recipe) -> dict:
    """What a conditioning carries beside the text, without its attention mask, which does not fit the concepts."""
    told = {name: value for name, value in extras.items() if name != "attention_mask"}
    if recipe.unpooled:
        told |= {"pooled_output": torch.zeros_like(extras["pooled_output"]), "guidance": 0.0}
    return told


def _maps_of_picture(look: Looked, latent: Tensor, seed: int, progress: Progress) -> Tensor:
    """Each rival's share of each token, [n, h, w], over all noise levels."""
    own = network.of(look.model)
    grid = own.grid_of(own.find_place("auto"), size_of(latent))
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    scores: list[Tensor] = []

    def work(x0, predict):
        for level in look.recipe.levels:
            hook = look.hook(grid, level)
            with suppress(hooks.Captured):
                predict(network.with_noise(look.model, x0, level, noise.to(x0)), level, hook)
            scores.extend(_found(hook))
            progress.step("reading")
        return x0

    run_session(look.model, look.conditioning, latent, work)
    return concept_maps(torch.stack(scores), look.recipe.temperature).unflatten(1, grid).cpu()


def _found(hook: Concepts) -> list[Tensor]:
    """The scores of all blocks of one evaluation."""
    check_words_read(len(hook.scores) == len(hook.blocks))
    return [check_predicted(each) for each in hook.scores]
