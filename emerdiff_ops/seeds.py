"""Maps of a prompt's phrases in its picture, from competing seeds (FreeFuse, arXiv 2510.23515).

For single-stream transformers, whose picture attends to the prompt's tokens. Everything is of one picture, one block
and one noise level, in float32. Softmaxes run over the picture's N tokens:

    s_c(x) = mean over heads and the phrase's tokens of softmax_x(q_x . k_token / 1000)
    seeds of c: the tenth of the tokens with the largest n s_c - sum of the others' s;  of the background: largest s
    m_c(x) = softmax_x(mean over seeds of <o_seed, o_x> / 4000),  .95 times that of the background

A token belongs to the phrase with the largest m. FreeFuse then evens out the areas, for painting; that is left out
here. A phrase's map is its share m_c / sum of m, which is largest for the same phrase.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHARPNESS = 1 / 1000  # replaces 1 / sqrt(d)
SEEDS = 0.1  # share of the picture's tokens
TEMPERATURE = 4000.0
BACKGROUND = 0.95
STOP_WORDS = frozenset(
    "a an the and or but nor so yet of in on at to for with by from as into through during before after above below "
    "between under over it its this that these those their his her my your our is are was were be been being has have "
    "had having which who whom whose where when while".split()
)


def words_among(texts: list[str]) -> list[int]:
    """The indices of a phrase's tokens that are words, without stop words, punctuation and single characters.

    If there are none, the first token that is not punctuation; else the first token.
    """
    written = [number for number, text in enumerate(texts) if any(map(str.isalnum, text))]
    words = [number for number in written if len(texts[number]) > 1 and texts[number].lower() not in STOP_WORDS]
    return words or written[:1] or [0]


def attended_by(query: Tensor, key: Tensor) -> Tensor:
    """s_c of a phrase, [N]: query [heads, N, d] of the picture's tokens, key [heads, T, d] of the phrase's."""
    weights = (query.float() @ key.float().transpose(-1, -2) * SHARPNESS).softmax(1)  # [heads, N, T]
    return weights.mean((0, 2))


def in_competition(scores: Tensor) -> Tensor:
    """n s_c - sum of the others', [n, N], from s [n, N]."""
    return (len(scores) + 1) * scores - scores.sum(0)


def shares_of(scores: Tensor, background: Tensor | None, output: Tensor) -> Tensor:
    """Each phrase's share of each token, [n, N].

    scores [n, N] of the phrases, background [N] or None, both from `attended_by`; output [N, C], the attention output
    of the picture's tokens, before the output projection.
    """
    rivals, weights = in_competition(scores), [1.0] * len(scores)
    if background is not None:
        rivals, weights = torch.cat([rivals, background[None]]), [*weights, BACKGROUND]
    logs = torch.stack([_log_map(each, output.float()) for each in rivals])
    logs = logs + torch.tensor([math.log(each) for each in weights]).to(logs)[:, None]
    return logs.softmax(0)[: len(scores)]


def _log_map(scores: Tensor, output: Tensor) -> Tensor:
    """log m of one phrase, [N]."""
    seeds = scores.topk(max(1, int(SEEDS * len(scores)))).indices
    return (output @ output[seeds].mean(0) / TEMPERATURE).log_softmax(0)
