"""Texts as the model takes them, by the CLIP in the graph, and which of their tokens are words."""

from __future__ import annotations

import torch


def conditioning_of(clip, text: str) -> list:
    """CONDITIONING of a text, as CLIPTextEncode gives it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def width_of(clip) -> int:
    """How many numbers the CLIP makes of every token."""
    return conditioning_of(clip, "")[0][0].shape[-1]


def words_of(clip, phrase: str) -> torch.Tensor:
    """1 at the phrase's own tokens, 0 at start, end and padding: [tokens]. Several text encoders are taken together."""
    encoders = clip.tokenize(phrase, return_word_ids=True).values()  # each a list of chunks
    marks = [torch.tensor([float(word > 0) for chunk in chunks for *_, word in chunk]) for chunks in encoders]
    shortest = min(map(len, marks))  # the host cuts what it joins to the shortest
    words = torch.stack([each[:shortest] for each in marks]).amax(0)
    if not words.any():
        raise ValueError(f'the text encoder finds no word in "{phrase}"; check the name of the embedding, if it is one')
    return words
