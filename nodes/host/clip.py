"""Texts as the model takes them, by the CLIP in the graph, and which of their tokens are words."""

from __future__ import annotations

import torch

from .recipes import Recipe


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


def words_together(clip, phrases: list[str]) -> tuple[list, torch.Tensor]:
    """CONDITIONING of all phrases as one text, and 1 at each one's own tokens: [P, tokens]."""
    text, groups = ", ".join(phrases), []
    for number, phrase in enumerate(phrases):
        places = words_of(clip, ", ".join(phrases[: number + 1])).nonzero().flatten()  # of all so far
        groups.append(places[-int(words_of(clip, phrase).sum()) :])
    marks = torch.zeros(len(phrases), len(words_of(clip, text)))
    for own, places in zip(marks, groups, strict=True):
        own[places] = 1
    return conditioning_of(clip, text), marks


def concepts_of(clip, phrases: list[str], recipe: Recipe) -> torch.Tensor:
    """One vector a phrase, as the encoder gives it, with what runs beside them before: [1, left_out + P, width]."""
    if recipe.joined:
        text, counts = " ".join(phrases), torch.tensor([_words_in_chunk(clip, phrase) for phrase in phrases])
        rows = [*range(recipe.left_out), *(recipe.left_out - 1 + counts.cumsum(0)).tolist()]
        return _of_one_chunk(clip, text)[:, rows]
    row = _last_word if recipe.last else _first_word
    return torch.cat([row(clip, phrase) for phrase in phrases], 1)


def _first_word(clip, phrase: str) -> torch.Tensor:
    return conditioning_of(clip, phrase)[0][0][:, :1]


def _last_word(clip, phrase: str) -> torch.Tensor:
    """The phrase's last token, before what the encoder's template says after it: [1, 1, width]."""
    tokens, nothing = (_words(clip, text) for text in (phrase, ""))
    after = 0
    while after < len(nothing) and nothing[-1 - after][1] == tokens[-1 - after][1]:
        after += 1
    text, (place, _, length) = conditioning_of(clip, phrase)[0][0], tokens[-1 - after]
    row = place - length  # from the end, as encoders leave out what their template says before
    return text[:, row : row + 1 or None]


def _words(clip, text: str) -> list[tuple[int, int, int]]:
    """Place, number and how many there are in all, padding too, of each token that is no padding."""
    (chunks, *_) = clip.tokenize(text, return_word_ids=True).values()
    every = [entry for chunk in chunks for entry in chunk]
    return [(place, entry[0], len(every)) for place, entry in enumerate(every) if entry[-1] > 0]


def _words_in_chunk(clip, phrase: str) -> int:
    """How many tokens the phrase has for an encoder of chunks."""
    (chunks, *_) = clip.tokenize(phrase, return_word_ids=True).values()
    return sum(entry[-1] > 0 for chunk in chunks for entry in chunk)


def _of_one_chunk(clip, text: str) -> torch.Tensor:
    (chunks, *_) = clip.tokenize(text).values()
    if len(chunks) > 1:
        raise ValueError(
            "the phrases and counter-words are more than this text encoder takes at once: name fewer of them"
        )
    return conditioning_of(clip, text)[0][0]
