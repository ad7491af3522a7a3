"""Concepts beside the prompt: they run through a transformer's text stream unseen (ConceptAttention, ICML 2025).

In a block of two streams, concepts c use the text's projections, norms and modulation. They attend to each other and to
the picture: o_c = softmax(q_c [k_c; k_x]^T / sqrt d) [v_c; v_x]. The picture attends to itself and to the prompt as
without them. So the block runs twice: once with the concepts in the prompt's place, and once as the host asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...emerdiff_ops.concepts import concept_scores
from .hooks import Captured, _chain_attention, _replacements
from .recipes import Recipe


class Concepts:
    """Scores concepts in the blocks [double] that a recipe names, in one evaluation of one row; stops after the last.

    `words` [1, n, width] come from the encoder, `embed` is the network's text embedding, and `tokens` counts the
    picture's tokens. scores: [n, tokens] for each of these blocks.
    """

    def __init__(self, recipe: Recipe, blocks: range, words: Tensor, embed: Callable[[Tensor], Tensor], tokens: int):
        self.recipe, self.blocks, self.words, self.embed, self.tokens = recipe, blocks, words, embed, tokens
        self.rows: Tensor | None = None  # the concepts' residual stream [1, n, C]
        self.waiting = False  # whether a block's first attention is still to come
        self.output: Tensor | None = None  # of that attention, [1, text and picture, C]
        self.scores: list[Tensor] = []

    def install(self, transformer_options) -> None:
        blocks = _replacements(transformer_options, "dit")
        for number in range(self.blocks[-1] + 1):
            place = "double_block", number
            blocks[place] = partial(self.in_block, number, blocks.get(place))
        _chain_attention(transformer_options, self.attention)

    def in_block(self, number: int, previous: Callable | None, arguments: dict, original: dict) -> dict:
        run = partial(_replaced, previous, original) if previous else original["original_block"]
        if self.rows is None:
            self.rows = self.embed(self.words.to(arguments["txt"]))
        concepts, after = self._first_attention(run, self._beside(arguments))
        picture, answer = self._first_attention(run, arguments)
        if number in self.blocks:
            self._score(concepts, picture)
        if number == self.blocks[-1]:
            raise Captured
        self.rows = after["txt"]
        return answer

    def _beside(self, arguments: dict) -> dict:
        """The block's arguments with the concepts in the prompt's place. Copies, because blocks write into them."""
        assert self.rows is not None
        given = {**arguments, "img": arguments["img"].clone(), "txt": self.rows.clone()}
        if "attn_mask" in given:
            given["attn_mask"] = None
        if "pe" in given:
            pe, prompt, place = given["pe"], arguments["txt"].shape[1], self.recipe.place
            places = pe[:, :, place : place + 1].expand(-1, -1, self.rows.shape[1], *(-1,) * (pe.ndim - 3))
            given["pe"] = torch.cat([places, pe[:, :, prompt:]], 2)
        return given

    def _first_attention(self, run: Callable, arguments: dict) -> tuple[Tensor | None, dict]:
        """The output of the block's first attention, and the output of the block."""
        self.waiting, self.output = True, None
        answer = run(arguments)
        self.waiting = False
        return self.output, answer

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        output = attend(query, key, value, heads, *args, **kwargs)
        if self.waiting:
            self.waiting, self.output = False, output
        return output

    def _score(self, concepts: Tensor | None, picture: Tensor | None) -> None:
        if concepts is None or picture is None:
            return  # another pack's block does not call the host's attention
        first, last = self.recipe.left_out, concepts.shape[1] - self.tokens
        if self.rows is None or last != self.rows.shape[1]:
            raise ValueError(
                "another node changes how many tokens the picture has inside the transformer; connect the model from "
                "before it"
            )
        self.scores.append(concept_scores(concepts[0, first:last], picture[0, -self.tokens :], self.recipe.unit))


def _replaced(previous: Callable, original: dict, arguments: dict) -> dict:
    return previous(arguments, original)
