"""How well segments fit a phrase, by two signs that a diffusion model of text and pictures gives of a noised picture.

Attention: the words of the phrase draw more cross-attention inside the segment than the same places of an empty prompt
do (the maps of DAAM, Tang et al. 2023). Prediction: with the phrase the model predicts the segment better than without
(the diffusion classifier of Li et al. 2023, segment by segment). Every value here is of one picture.
"""

from __future__ import annotations

import re

import torch
from einops import rearrange

SIGNS = {"both": (1.0, 1.0), "prediction": (0.0, 1.0), "attention": (1.0, 0.0)}  # weights of attention, prediction
COMMA = re.compile(r",(?![^()]*\))")  # not one inside brackets, which belongs to a weight
TINY = 1e-9


def split_phrases(text: str) -> list[str]:
    """The phrases between the commas of a text, without the empty ones; commas in brackets do not separate.

    Raises ValueError when there is no phrase.
    """
    phrases = [phrase for phrase in map(str.strip, COMMA.split(text)) if phrase]
    if not phrases:
        raise ValueError('text is empty: type what to look for, such as "dog", or several things: "dog, sky"')
    return phrases


def word_attention(query: torch.Tensor, key: torch.Tensor, heads: int, words: torch.Tensor) -> torch.Tensor:
    """softmax(QK^T / sqrt d), the mean over heads, summed over the tokens of every group: [groups, rows, n] float32.

    query [rows, n, heads * dim], key [rows, tokens, heads * dim]; words [groups, tokens], 1 where a token belongs to
    the group. Of tokens and words the first that both have count.
    """
    query = rearrange(query, "b n (h d) -> b h n d", h=heads)
    key = rearrange(key, "b m (h d) -> b h d m", h=heads)
    scores = query @ key * query.shape[-1] ** -0.5
    weights = scores.softmax(-1, dtype=torch.float32).mean(1)  # [rows, n, tokens]
    tokens = min(words.shape[1], weights.shape[2])
    return torch.einsum("bnm,gm->gbn", weights[..., :tokens], words[:, :tokens].to(weights))


def area_weights(pixels: torch.Tensor) -> torch.Tensor:
    """Which share of every segment lies in every cell: [K, h*w]; a row adds up to 1, or to 0 without any pixel.

    pixels [h*w, K]: how many of a segment's every cell holds.
    """
    return pixels.T / pixels.sum(0)[:, None].clamp(min=1)


def attention_sign(phrase: torch.Tensor, empty: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """log(attention to the words / attention to an empty prompt's tokens in their place), inside every segment: [K].

    phrase and empty [levels, h*w], averaged over the levels; weights [K, h*w].
    """
    return ((phrase @ weights.T + TINY) / (empty @ weights.T + TINY)).log().mean(0)


def attention_map(phrase: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """log(attention to the words / attention to an empty prompt's tokens in their place) at every place: [h*w].

    phrase and empty [levels, h*w], averaged over the levels.
    """
    return ((phrase + TINY) / (empty + TINY)).log().mean(0)


def prediction_sign(phrase: torch.Tensor, empty: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """By how much of the picture's mean error the phrase lowers the error inside every segment: [K].

    phrase and empty [levels, h'*w'], squared errors of the prediction, averaged over the levels; weights [K, h'*w'].
    """
    gain = (empty - phrase) @ weights.T  # [levels, K]
    return (gain / (empty.mean(1, keepdim=True) + TINY)).mean(0)


def standardized(values: torch.Tensor, areas: torch.Tensor) -> torch.Tensor:
    """values [..., K] in standard deviations above their mean over the picture; areas [K], shares of it."""
    centred = values - (values * areas).sum(-1, keepdim=True)
    return centred / ((centred**2 * areas).sum(-1, keepdim=True).sqrt() + TINY)


def text_scores(attention: torch.Tensor, prediction: torch.Tensor, areas: torch.Tensor, by: str) -> torch.Tensor:
    """Scores [..., K] by the signs [..., K] that `by` in SIGNS names, in standard deviations over the picture.

    areas [K], the segments' shares of the picture; a segment without any pixel gets -inf.
    """
    by_attention, by_prediction = SIGNS[by]
    total = by_attention * standardized(attention, areas) + by_prediction * standardized(prediction, areas)
    return standardized(total, areas).masked_fill(areas == 0, -torch.inf)


def best_segments(scores: torch.Tensor, count: int, threshold: float) -> torch.Tensor:
    """Which segments to take, [..., K] bool: those above the threshold, or, if it is 0, the `count` best.

    Of equal scores the lowest number is the better one; -inf is never taken.
    """
    if threshold:
        return scores > threshold
    ranks = scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (ranks < count) & scores.isfinite()


def from_least_to_most(maps: torch.Tensor) -> torch.Tensor:
    """Maps [..., h, w] with the least value of each as 0 and the most as 1; 0 where a map is the same everywhere."""
    least, most = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - least) / (most - least).clamp_min(torch.finfo(maps.dtype).tiny)
