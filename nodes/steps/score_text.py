"""segments + text -> how well they fit and where the words are, by the diffusion model and the CLIP in the graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...emerdiff_ops.concepts import COUNTER_WORDS, rivals_of
from ...emerdiff_ops.grid import Grid, grid_over
from ...emerdiff_ops.schedule import sample_level
from ...emerdiff_ops.segments.labels import segment_areas
from ...emerdiff_ops.text_scores import (
    area_weights,
    attention_map,
    attention_sign,
    prediction_sign,
    split_phrases,
    text_scores,
)
from ..host import hooks, network, unet
from ..host.clip import conditioning_of, words_of
from ..host.latents import working_pixels
from ..host.memory import RowsAtOnce
from ..host.progress import Progress
from ..host.recipes import seed_recipe_of
from ..host.session import attend, run_session
from .belongs import check_kind
from .by_concepts import concept_maps_of
from .by_goca import goca_maps_of
from .by_seeds import seed_maps_of
from .checks import (
    check_brackets,
    check_clip,
    check_finds_words,
    check_grid,
    check_image,
    check_model,
    check_phrases_fit,
    check_predicted,
    check_vae,
)
from .extract import latents_of
from .select import picture_under
from .values import Segmentation, Size, size_of

TIMESTEPS = (901, 801, 701, 601)  # the text tells most where most is undecided (docs/measured/text.md)
DRAWS = 4  # of noise, at every timestep
GOCA = "goca"  # a way to score by the attention to all words at once
COUNTERS = ", ".join(COUNTER_WORDS)  # as typed on the node


class Reader(NamedTuple):
    """What reads a picture and a text together: MODEL, CLIP and VAE of one checkpoint."""

    model: Any
    clip: Any
    vae: Any


class Signs(NamedTuple):
    """Evidence for segments and places, for every phrase of every picture."""

    attention: Tensor  # of segments: [B, P, K]
    prediction: Tensor | None  # the same; transformers have none
    maps: Tensor  # of places, larger where the phrase fits better: [B, P, h, w]
    grid: Grid


class Asked(NamedTuple):
    """What is looked for, and how."""

    text: str
    seed: int = 0
    by: str = "both"
    counter_words: str = COUNTERS


def score_segments(reader: Reader, segmentation: Segmentation, image, text: str, seed=0, by="both") -> Tensor:
    """How well each segment fits each phrase of the text: [B, P, K], in standard deviations over the picture."""
    return scores_of(signs_of(reader, segmentation, image, Asked(text, seed, by)), segmentation, by)


def scores_of(signs: Signs, segmentation: Segmentation, by: str) -> Tensor:
    """How well each segment fits each phrase, [B, P, K]; without a prediction sign, by attention alone."""
    areas = segment_areas(segmentation.labels, segmentation.count)[:, None]
    if signs.prediction is None:
        return text_scores(signs.attention, signs.attention, areas, "attention")
    return text_scores(signs.attention, signs.prediction, areas, by)


def signs_of(reader: Reader, segmentation: Segmentation, image, asked: Asked) -> Signs:
    """The signs by a UNet's cross-attention and error, or by the phrases' shares of each place."""
    phrases = split_phrases(asked.text)
    check_kind(segmentation, Segmentation)
    check_model(reader.model)
    check_finds_words(reader.model)
    check_clip(reader.model, reader.clip)
    check_vae(reader.model, reader.vae)
    check_phrases_fit(len(phrases), segmentation.labels)
    if network.of(reader.model).lifts and asked.by != GOCA:
        return segment_signs(reader, segmentation, image, phrases, asked.seed)
    return shared_signs(reader, segmentation, image, asked)


def maps_for(model) -> Callable[..., Tensor]:
    """The function that shares places out among phrases, by how the model is built."""
    if network.of(model).lifts:
        return goca_maps_of
    return seed_maps_of if seed_recipe_of(model) else concept_maps_of


def shared_signs(reader: Reader, segmentation: Segmentation, image, asked: Asked) -> Signs:
    """Each phrase's share of every place, among phrases and counter-words, and its mean in each segment, [B, P, K]."""
    phrases = split_phrases(asked.text)
    counters = split_phrases(asked.counter_words) if asked.counter_words.strip(" ,") else []
    if len(rivals_of(phrases, counters)) < 2:
        raise ValueError(f'"{phrases[0]}" has nothing to compete with: name another phrase, or counter_words')
    check_brackets(reader.clip, [*phrases, *counters])
    latents, size = seen(reader, segmentation, image)
    maps = maps_for(reader.model)(reader.model, reader.clip, latents, phrases, counters, asked.seed)
    grid = grid_over(size_of(maps), size_of(latents), size)
    shares = [
        own.flatten(1) @ area_weights(grid.of_segments(labels, segmentation.count)).T
        for labels, own in zip(segmentation.labels, maps, strict=True)
    ]  # [P, K] each
    return Signs(torch.stack(shares), None, maps, grid)


def seen(reader: Reader, segmentation: Segmentation, image) -> tuple[Tensor, Size]:
    """Latents [B, c, h', w'] of the pictures that were segmented, and their size as the model sees them."""
    picture = check_image(picture_under(segmentation, image))
    pixels = working_pixels(reader.model, reader.vae, picture, 0, enlarge=False)
    return latents_of(reader.model, reader.vae, pixels), size_of(pixels)


def segment_signs(reader: Reader, segmentation: Segmentation, image, phrases: list[str], seed=0) -> Signs:
    """Attention and prediction sign of every segment for every phrase, by a UNet."""
    model, clip, _ = reader
    layers = unet.coarsest_output_layers(model)
    groups = pad_sequence([words_of(clip, phrase) for phrase in phrases], batch_first=True)  # [P, tokens]
    asked = [("", groups), *zip(phrases, groups.split(1))]
    prompts = [(conditioning_of(clip, phrase), words) for phrase, words in asked]
    (latents, size), device = seen(reader, segmentation, image), model.load_device
    noise = torch.randn(len(TIMESTEPS), DRAWS, *latents.shape[1:], generator=torch.Generator().manual_seed(seed))
    rows = len(latents) * len(prompts) * len(TIMESTEPS) * DRAWS
    progress = Progress()
    progress.expect("row", rows, 1.0)
    respondent = Respondent(model, layers, TIMESTEPS, noise, progress)
    attention, prediction, places = [], [], []
    grids = [grid_over(cells, size_of(latents), size) for cells in _grids(model, layers[0], size_of(latents))]
    for labels, latent in zip(segmentation.labels, latents.split(1)):
        weights = [area_weights(grid.of_segments(labels, segmentation.count)).to(device) for grid in grids]
        (nothing, empty), *others = [respondent.respond(*each, latent) for each in prompts]
        attention += [attention_sign(maps[0], nothing[p], weights[0]) for p, (maps, _) in enumerate(others)]
        prediction += [prediction_sign(error, empty, weights[1]) for _, error in others]
        places += [attention_map(maps[0], nothing[p]) for p, (maps, _) in enumerate(others)]
    every = [torch.stack(each).unflatten(0, (-1, len(phrases))).cpu() for each in (attention, prediction, places)]
    return Signs(every[0], every[1], every[2].unflatten(2, grids[0].cells), grids[0])


def _grids(model, layer, latent: Size) -> tuple[Size, Size]:
    """The cells of the text layers, and those of the latent."""
    return unet.grid_of(model, layer, latent), latent


class Respondent:
    """Measures the model's response to noised pictures under prompts, at some timesteps, layers and draws of noise.

    noise [levels, draws, c, h', w'].
    """

    def __init__(self, model, layers, timesteps, noise: Tensor, progress: Progress):
        self.model, self.layers, self.timesteps, self.noise, self.progress = model, layers, timesteps, noise, progress

    def respond(self, conditioning, groups: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The response to one picture at every timestep, averaged over the draws of noise.

        Attention to each group of tokens, averaged over the layers, [groups, levels, h*w]; squared error of the
        predicted latent, averaged over channels, [levels, h'*w'].
        """
        attention, errors = [], []
        rows = RowsAtOnce(self.model, size_of(latent))

        def work(x0, predict):
            for timestep, draws in zip(self.timesteps, self.noise):
                sigma = network.sigma_of(self.model, timestep)
                level = rows.in_parts(partial(self._answer, predict, x0, sigma, draws, groups), len(draws))
                maps, error = zip(*level)
                attention.append(torch.cat(maps, 1).mean(1))  # [groups, h*w]
                errors.append(torch.cat(error).mean(0))  # [h'*w']
            return x0

        run_session(self.model, conditioning, latent, work, min(rows.most, self.noise.shape[1]))
        return torch.stack(attention, 1), torch.stack(errors)

    def _answer(self, predict, x0, sigma: float, draws, groups, rows: range) -> tuple[Tensor, Tensor]:
        """Attention to the groups of tokens, [groups, rows, h*w], and squared error, [rows, h'*w'], of some draws."""
        hook = hooks.WordAttention(self.layers, groups, attend)
        x = sample_level(x0, sigma, draws[rows.start : rows.stop].to(x0))
        denoised = check_predicted(predict(x, sigma, hook))
        grid = unet.grid_of(self.model, self.layers[0], size_of(x0))
        answer = attention_of(hook, grid), (denoised - x0).square().mean(1).flatten(1).float()
        self.progress.step("row", len(rows))
        return answer


def attention_of(hook: hooks.WordAttention, grid: Size) -> Tensor:
    """The mean of the layers' maps on their grid (h, w): [groups, rows, h*w]."""
    if not hook.maps:
        raise ValueError("another node replaces this model's blocks; connect the model from before that node")
    for each in hook.maps.values():
        check_grid(each.shape[-1], grid)
    return torch.stack(list(hook.maps.values())).mean(0)
