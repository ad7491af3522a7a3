"""The picture's attention to words of the prompt in a transformer of one stream, and the attention's output there."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from torch import Tensor, stack

from ...emerdiff_ops.seeds import attended_by
from .hooks import AttentionOutput, _by_head, _tensor


class AttendedWords(AttentionOutput):
    """Keeps the picture's features and their attention to groups of the prompt's tokens, [groups, h*w]; stops there.

    `groups`: the rows of the prompt's text in each group. The text comes before the picture, or else right after it.
    Changes nothing.
    """

    def __init__(self, groups: list[list[int]], *where):
        super().__init__(*where)
        self.groups = groups
        self.scores: Tensor | None = None

    def keep(self, attend: Callable[[], Tensor], query, key, heads: int) -> None:
        queries, keys = (_by_head(_left_in_place(each), heads) for each in (query, key))
        super().keep(attend, query, key, heads)
        own = self._picture(queries.shape[1])
        text = keys[:, own.stop :] if self.filled is None else keys
        self.scores = stack([attended_by(queries[:, own], text[:, group]) for group in self.groups])


def _left_in_place(value) -> Tensor:
    """The tensor, taken out of a copy of its container where the host uses one."""
    return _tensor(value if isinstance(value, Tensor) else copy(value))
