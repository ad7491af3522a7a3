"""EmerDiff's changes inside attention: maps shared by the rows of a batch, and the offset (paper, sec. 3).

The rows of a batch are variants of one image. Row 0 is unmodulated, and its attention maps replace those of the other
rows. With several conditionings the batch is `groups` such stacks, one after the other: [groups * rows, ...].
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat

# The most scores in one block of queries. The number for processors was measured, at commit 5009b66. The other is
# 64 MiB of float32, which keeps a GPU busy and fits on a small card.
MAX_SCORES = {"cpu": 2**22, "other": 2**24}


def base_rows(stack: torch.Tensor, groups: int) -> torch.Tensor:
    """Row 0 of every group: [groups * rows, ...] -> [groups, ...]."""
    return stack[:: stack.shape[0] // groups]


def spread_rows(stack: torch.Tensor, groups: int, rows: int) -> torch.Tensor:
    """Repeat the single row of each group `rows` times; a stack that has `rows` rows already stays as it is."""
    if stack.shape[0] == groups * rows:
        return stack
    return repeat(stack, "g ... -> (g rows) ...", rows=rows)


def add_offset(output: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """f(softmax(QK^T / sqrt d) V) + c * M: `output` [groups * rows, h*w, C], `offsets` c * M [rows, h*w]."""
    groups = output.shape[0] // offsets.shape[0]
    offsets = offsets.to(output).repeat(groups, 1)  # [groups * rows, h*w]
    return output + offsets[..., None]


def root_mean_square(output: torch.Tensor) -> torch.Tensor:
    """Root mean square of a layer's output, float32: the unit of a strength that suits models of any scale."""
    return output.float().square().mean().sqrt()


def shared_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    heads: int,
    max_scores: int | None = None,
    precision: torch.dtype | None = None,
) -> torch.Tensor:
    """softmax(QK^T / sqrt d) V with one attention map for all rows of a group.

    query, key [groups, tokens, heads * dim]; value and the result [groups * rows, tokens, heads * dim].
    Each map is computed once and multiplied with the stacked values of all rows, in blocks of queries that have
    at most `max_scores` scores (None: MAX_SCORES of the device). Scores are computed in `precision` (None: that of the
    query); SD2.x overflows in float16.
    """
    groups = query.shape[0]
    query, key = query.to(precision or query.dtype), key.to(precision or key.dtype)
    query = rearrange(query, "g n (h d) -> (g h) n d", h=heads)
    key = rearrange(key, "g m (h d) -> (g h) d m", h=heads)
    stacked = rearrange(value, "(g b) m (h d) -> (g h) m (b d)", g=groups, h=heads)
    scale = query.shape[-1] ** -0.5
    max_scores = max_scores or MAX_SCORES.get(query.device.type, MAX_SCORES["other"])
    block = max(1, max_scores // (query.shape[0] * key.shape[-1]))
    out = torch.cat([_attend(part * scale, key, stacked) for part in query.split(block, dim=1)], dim=1)
    return rearrange(out, "(g h) n (b d) -> (g b) n (h d)", g=groups, b=value.shape[0] // groups)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    weights = torch.bmm(query, key).softmax(dim=-1, dtype=torch.float32)  # [groups * heads, block, tokens]
    return torch.bmm(weights.to(value.dtype), value)


def mean_attention(
    query: torch.Tensor, key: torch.Tensor, grid: tuple[int, int], finer: int = 1, max_scores: int | None = None
) -> torch.Tensor:
    """The mean over heads of softmax(QK^T / sqrt d) of a grid's tokens, [N, N] float32.

    query, key [heads, h*w, d]. Squares of `finer` x `finer` tokens are merged: the mean of rows, the sum of columns.
    Scores are computed in blocks of queries that have at most `max_scores` (None: MAX_SCORES of the device).
    """
    owner, count = _owners(grid, finer, query.device)
    total = query.new_zeros(count, count, dtype=torch.float32)
    most = max_scores or MAX_SCORES.get(query.device.type, MAX_SCORES["other"])
    block = max(1, most // (len(query) * len(owner)))
    key = key.float().mT
    for tokens in torch.arange(len(owner), device=query.device).split(block):
        scores = torch.bmm(query[:, tokens].float() * query.shape[-1] ** -0.5, key)
        rows = scores.softmax(-1).mean(0)  # [block, h*w]
        together = rows if finer == 1 else rows.new_zeros(len(rows), count).index_add_(1, owner, rows)
        total.index_add_(0, owner[tokens], together)
    return total / torch.bincount(owner)[:, None]


def _owners(grid: tuple[int, int], finer: int, device: torch.device) -> tuple[torch.Tensor, int]:
    """The coarse token that each fine token lies in, [h*w], and the number of coarse tokens."""
    rows, columns = (torch.arange(side, device=device) // finer for side in grid)
    height, width = (-(-side // finer) for side in grid)
    return (rows[:, None] * width + columns).flatten(), height * width
