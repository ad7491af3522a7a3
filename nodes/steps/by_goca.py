"""picture + phrases -> where the picture shows them, by a UNet's attention to all of them at once (GoCA, CVPR 2026)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.concepts import rivals_of
from ...emerdiff_ops.goca import agreement, carried, over_layers, word_maps
from ...emerdiff_ops.schedule import sample_level
from ..host import network
from ..host.clip import words_together
from ..host.goca import Places, PlacesAndWords, places_of
from ..host.progress import Progress
from ..host.session import attend, run_session
from .checks import check_conditioning, check_predicted
from .values import size_of

TIMESTEP = 100  # of 1000, as published


class Told(NamedTuple):
    """MODEL, the conditioning of all words at once, and the tokens of each word."""

    model: Any
    conditioning: list
    groups: Tensor  # [n, tokens]


def goca_maps_of(model, clip, latents: Tensor, phrases: list[str], counter_words: list[str], seed: int) -> Tensor:
    """Each phrase's share among all words, from 0 to 1, on the grid of the finest attention: [B, P, h, w].

    latents [B, c, h', w'] are as the VAE gives them. Noise is drawn from `seed`, the same for all pictures.
    """
    rivals = rivals_of(phrases, counter_words)
    conditioning, groups = words_together(clip, rivals)
    check_conditioning(model, conditioning)
    told, progress = Told(model, conditioning, groups), Progress()
    progress.expect("reading", len(latents), 1.0)
    maps = [_maps_of_picture(told, latent, seed, progress) for latent in latents.split(1)]
    return torch.stack(maps)[:, [rivals.index(phrase) for phrase in phrases]]


def _maps_of_picture(told: Told, latent: Tensor, seed: int, progress: Progress) -> Tensor:
    """The maps of all words [n, h, w] of one picture [1, c, h', w']."""
    places = places_of(told.model, size_of(latent))
    hook = PlacesAndWords(told.model, places, attend)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))

    def work(x0, predict):
        sigma = network.sigma_of(told.model, TIMESTEP)
        check_predicted(predict(sample_level(x0, sigma, noise.to(x0)), sigma, hook))
        progress.step("reading")
        return x0

    run_session(told.model, told.conditioning, latent, work)
    return maps_of(hook, places, told.groups).cpu()


def maps_of(hook: PlacesAndWords, places: Places, groups: Tensor) -> Tensor:
    """The maps of all words [n, h, w] from what the hook read in one evaluation."""
    layers = list(places.grids)
    if set(hook.maps) != set(layers) or set(hook.own) != set(layers):
        raise ValueError(
            "another node replaces, merges or resizes parts of this model's attention; connect the model from before it"
        )
    assert hook.reference is not None
    weights = torch.stack([agreement(hook.own[layer], hook.reference) for layer in layers])
    maps = [hook.maps[layer] for layer in layers]
    together = over_layers(maps, [places.grids[layer] for layer in layers], weights, places.finest)
    own = torch.stack(hook.carrying).mean(0)
    return carried(word_maps(together, groups.to(together), places.finest), own)
