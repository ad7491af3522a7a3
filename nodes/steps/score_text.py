"""segments + text -> the segments that the words mean, by the diffusion model and the CLIP in the graph."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...emerdiff_ops.grid import grid_over
from ...emerdiff_ops.schedule import sample_level
from ...emerdiff_ops.segments.colors import highlight, with_texts
from ...emerdiff_ops.segments.labels import segment_areas
from ...emerdiff_ops.text_scores import (
    area_weights,
    attention_sign,
    best_segments,
    prediction_sign,
    split_phrases,
    text_scores,
)
from ..host import hooks, network, unet
from ..host.clip import conditioning_of, words_of
from ..host.latents import working_pixels
from ..host.memory import RowsAtOnce
from ..host.progress import Progress
from ..host.session import attend, run_session
from .belongs import check_kind
from .checks import check_clip, check_grid, check_image, check_lifts, check_model, check_predicted, check_vae
from .extract import latents_of
from .select import picture_under
from .values import Segmentation, Size, size_of

log = logging.getLogger("EmerDiff")

TIMESTEPS = (901, 801, 701, 601)  # where most is undecided, the text tells most (docs/selecting_by_text.md)
DRAWS = 4  # of noise, at every timestep


class Reader(NamedTuple):
    """What reads a picture and a text together: MODEL, CLIP and VAE of one checkpoint."""

    model: Any
    clip: Any
    vae: Any


def score_segments(reader: Reader, segmentation: Segmentation, image, text: str, seed=0, by="both") -> Tensor:
    """How well each segment fits each phrase of the text: [B, P, K], in standard deviations over the picture."""
    signs = segment_signs(reader, segmentation, image, split_phrases(text), seed)
    return text_scores(*signs, segment_areas(segmentation.labels, segmentation.count)[:, None], by)


def masks_of_the_best(segmentation: Segmentation, scores: Tensor, text: str, count=1, threshold=0.0) -> Tensor:
    """Masks [B * P, H, W] of the segments that fit each phrase best, phrase-major inside an image."""
    phrases, chosen = split_phrases(text), best_segments(scores, count, threshold)  # [B, P, K]
    for index, phrase in (~chosen.any(-1)).nonzero().tolist():
        log.warning(
            'no segment of picture %d scores above %g for "%s"; its mask is empty. The best scores %.2f.',
            index, threshold, phrases[phrase], scores[index, phrase].max(),
        )  # fmt: skip
    masks = [each[:, labels.long()] for each, labels in zip(chosen, segmentation.labels)]  # [P, H, W] each
    return torch.cat(masks).float()


def segment_signs(
    reader: Reader, segmentation: Segmentation, image, phrases: list[str], seed=0
) -> tuple[Tensor, Tensor]:
    """Attention and prediction sign of every segment for every phrase: [B, P, K] each."""
    model, clip, vae = reader
    check_kind(segmentation, Segmentation)
    check_model(model)
    check_lifts(model, "EmerDiff Select by Text")
    check_clip(model, clip)
    check_vae(model, vae)
    layers = unet.coarsest_output_layers(model)
    groups = pad_sequence([words_of(clip, phrase) for phrase in phrases], batch_first=True)  # [P, tokens]
    asked = [("", groups), *zip(phrases, groups.split(1))]
    prompts = [(conditioning_of(clip, phrase), words) for phrase, words in asked]
    pixels = working_pixels(model, vae, check_image(picture_under(segmentation, image)), 0, enlarge=False)
    latents, size, device = latents_of(model, vae, pixels), size_of(pixels), model.load_device
    noise = torch.randn(len(TIMESTEPS), DRAWS, *latents.shape[1:], generator=torch.Generator().manual_seed(seed))
    rows = len(latents) * len(prompts) * len(TIMESTEPS) * DRAWS
    progress = Progress()
    progress.expect("row", rows, 1.0)
    respondent = Respondent(model, layers, TIMESTEPS, noise, progress)
    attention, prediction = [], []
    for labels, latent in zip(segmentation.labels, latents.split(1)):
        own = size_of(latent)
        grids = [grid_over(cells, own, size) for cells in (unet.grid_of(model, layers[0], own), own)]
        weights = [area_weights(grid.of_segments(labels, segmentation.count)).to(device) for grid in grids]
        (nothing, empty), *others = [respondent.respond(*each, latent) for each in prompts]
        attention += [attention_sign(maps[0], nothing[p], weights[0]) for p, (maps, _) in enumerate(others)]
        prediction += [prediction_sign(error, empty, weights[1]) for _, error in others]
    return tuple(torch.stack(each).unflatten(0, (-1, len(phrases))).cpu() for each in (attention, prediction))


class Respondent:
    """The model, asked what it makes of noised pictures under prompts: at which timesteps, layers and draws of noise.

    noise [levels, draws, c, h', w'].
    """

    def __init__(self, model, layers, timesteps, noise: Tensor, progress: Progress):
        self.model, self.layers, self.timesteps, self.noise, self.progress = model, layers, timesteps, noise, progress

    def respond(self, conditioning, groups: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The answer to one picture at every timestep, averaged over the draws of noise.

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


def picture_with_scores(segmentation: Segmentation, image, masks, scores) -> Tensor:
    """The picture with each phrase's mask highlighted and every segment's score written in it: [B * P, H, W, 3]."""
    phrases = scores.shape[1]
    picture, labels = (each.repeat_interleave(phrases, 0) for each in (image, segmentation.labels))
    texts = [[f"{score:.1f}" for score in each] for each in scores.flatten(0, 1).tolist()]
    return with_texts(highlight(picture, masks), labels, texts)
