"""How well segments fit a phrase, by two signs from a text-to-image diffusion model on a noised picture.

Attention: inside the segment, the phrase's words get more cross-attention than the tokens at the same positions of an
empty prompt (the maps of DAAM, Tang et al. 2023). Prediction: the phrase lowers the model's error inside the segment
(the diffusion classifier of Li et al. 2023, segment by segment). Every value here is of one picture.
"""

from __future__ import annotations

import re

import torch
from einops import rearrange

SIGNS = {"both": (1.0, 1.0), "prediction": (0.0, 1.0), "attention": (1.0, 0.0)}  # weights of attention, prediction
COMMA = re.compile(r",(?![^()]*\))")  # a comma inside brackets belongs to a weight
TINY = 1e-9


def split_phrases(text: str) -> list[str]:
    """The phrases between the commas of a text, without empty ones; commas in brackets do not separate.

    Raises ValueError when there is no phrase.
    """
    phrases = [phrase for phrase in map(str.strip, COMMA.split(text)) if phrase]
    if not phrases:
        raise ValueError('text is empty: type what to look for, such as "dog", or several things: "dog, sky"')
    return phrases


def word_attention(query: torch.Tensor, key: torch.Tensor, heads: int, words: torch.Tensor) -> torch.Tensor:
    """Mean over heads of softmax(QK^T / sqrt d), summed over the tokens of each group: [groups, rows, n] float32.

    query [rows, n, heads * dim], key [rows, tokens, heads * dim]; words [groups, tokens], 1 where a token belongs to
    the group. Where `key` and `words` differ in tokens, the first ones that both have are used.
    """
    query = rearrange(query, "b n (h d) -> b h n d", h=heads)
    key = rearrange(key, "b m (h d) -> b h d m", h=heads)
    scores = query @ key * query.shape[-1] ** -0.5
    weights = scores.softmax(-1, dtype=torch.float32).mean(1)  # [rows, n, tokens]
    tokens = min(words.shape[1], weights.shape[2])
    return torch.einsum("bnm,gm->gbn", weights[..., :tokens], words[:, :tokens].to(weights))


def area_weights(pixels: torch.Tensor) -> torch.Tensor:
    """The share of each segment that lies in each cell: [K, h*w]; a row sums to 1, or to 0 for an empty segment.

    pixels [h*w, K]: the number of each segment's pixels in each cell.
    """
    return pixels.T / pixels.sum(0)[:, None].clamp(min=1)


def attention_sign(phrase: torch.Tensor, empty: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """log(attention to the words / attention to the empty prompt's tokens at their positions) in each segment: [K].

    phrase and empty [levels, h*w]; weights [K, h*w]. The result is the mean over the levels.
    """
    return ((phrase @ weights.T + TINY) / (empty @ weights.T + TINY)).log().mean(0)


def attention_map(phrase: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """log(attention to the words / attention to the empty prompt's tokens at their positions) at each place: [h*w].

    phrase and empty [levels, h*w]. The result is the mean over the levels.
    """
    return ((phrase + TINY) / (empty + TINY)).log().mean(0)


def prediction_sign(phrase: torch.Tensor, empty: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """How much the phrase lowers the error inside each segment, as a share of the picture's mean error: [K].

    phrase and empty [levels, h'*w'], squared errors of the prediction; weights [K, h'*w']. The mean over the levels.
    """
    gain = (empty - phrase) @ weights.T  # [levels, K]
    return (gain / (empty.mean(1, keepdim=True) + TINY)).mean(0)


def standardized(values: torch.Tensor, areas: torch.Tensor) -> torch.Tensor:
    """values [..., K] in standard deviations above their mean over the picture; areas [K], shares of the picture."""
    centred = values - (values * areas).sum(-1, keepdim=True)
    return centred / ((centred**2 * areas).sum(-1, keepdim=True).sqrt() + TINY)


def text_scores(attention: torch.Tensor, prediction: torch.Tensor, areas: torch.Tensor, by: str) -> torch.Tensor:
    """Scores [..., K] from the signs [..., K], weighted by SIGNS[by], in standard deviations over the picture.

    areas [K], the segments' shares of the picture; an empty segment gets -inf.
    """
    by_attention, by_prediction = SIGNS[by]
    total = by_attention * standardized(attention, areas) + by_prediction * standardized(prediction, areas)
    return standardized(total, areas).masked_fill(areas == 0, -torch.inf)


def best_segments(scores: torch.Tensor, count: int, threshold: float) -> torch.Tensor:
    """Which segments to take, [..., K] bool: those above the threshold, or, if it is 0, the `count` best.

    Ties go to the lowest number; -inf is never taken.
    """
    if threshold:
        return scores > threshold
    ranks = scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (ranks < count) & scores.isfinite()


def from_least_to_most(maps: torch.Tensor) -> torch.Tensor:
    """Maps [..., h, w], each rescaled from its least value to its largest as 0 to 1; a constant map becomes 0."""
    least, most = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - least) / (most - least).clamp_min(torch.finfo(maps.dtype).tiny)
