"""Texts encoded for the model by the CLIP in the graph, and which of their tokens are words."""

from __future__ import annotations

import torch

from ...emerdiff_ops.seeds import words_among
from .recipes import Recipe

SPACES = "\u0120\u2581 "  # how vocabularies write a space before a word


def conditioning_of(clip, text: str) -> list:
    """CONDITIONING of a text, as CLIPTextEncode gives it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def width_of(clip) -> int:
    """How many numbers the CLIP makes of every token."""
    return conditioning_of(clip, "")[0][0].shape[-1]


def reads_weights(clip) -> bool:
    """Whether the encoder reads "(dog:1.3)" as a dog of more weight, not as these letters."""
    (chunks, *_) = clip.tokenize("(a:2)").values()
    return any(entry[1] != 1 for chunk in chunks for entry in chunk)


def words_of(clip, phrase: str) -> torch.Tensor:
    """1 at the phrase's own tokens, 0 at start, end and padding: [tokens]. Several text encoders are combined."""
    encoders = clip.tokenize(phrase, return_word_ids=True).values()  # each a list of chunks
    marks = [torch.tensor([float(word > 0) for chunk in chunks for *_, word in chunk]) for chunks in encoders]
    shortest = min(map(len, marks))  # the host cuts joined texts to the shortest
    words = torch.stack([each[:shortest] for each in marks]).amax(0)
    if not words.any():
        raise ValueError(f'the text encoder finds no word in "{phrase}"; check the name of the embedding, if it is one')
    return words


def words_together(clip, phrases: list[str]) -> tuple[list, torch.Tensor]:
    """CONDITIONING of all phrases as one text, and 1 at each one's own tokens: [P, tokens]."""
    text, groups = ", ".join(phrases), []
    for number, phrase in enumerate(phrases):
        places = words_of(clip, ", ".join(phrases[: number + 1])).nonzero().flatten()  # of all phrases so far
        groups.append(places[-int(words_of(clip, phrase).sum()) :])
    marks = torch.zeros(len(phrases), len(words_of(clip, text)))
    for own, places in zip(marks, groups, strict=True):
        own[places] = 1
    return conditioning_of(clip, text), marks


def words_in_prompt(clip, phrases: list[str], most: int) -> tuple[list, list[list[int]]]:
    """CONDITIONING of all phrases as one text, and the rows of it that hold each phrase's words.

    For encoders with one tokenizer, whose template may surround the text. ValueError for more than `most` tokens.
    """
    if len(clip.tokenize("")) > 1:
        raise ValueError("this CLIP has several text encoders, the model one: connect MODEL and CLIP of the same model")
    text, after = ", ".join(phrases), _after(clip, phrases[0])
    tokens = _words(clip, text)
    if len(tokens) > most:
        raise ValueError(
            f"the phrases and counter-words are {len(tokens)} tokens with the encoder's template, {most} at most: name "
            "fewer of them"
        )
    ends = [len(_words(clip, ", ".join(phrases[:count]))) - after for count in range(1, len(phrases) + 1)]
    begins = [len(_words(clip, "")) - after, *ends]
    conditioning = conditioning_of(clip, text)
    above = conditioning[0][0].shape[1] - tokens[0][2]  # encoders drop the beginning of their template
    own = [[tokens[begin:end][word] for word in _kept(clip, tokens[begin:end])] for begin, end in zip(begins, ends)]
    return conditioning, [[above + place for place, *_ in each] for each in own]


def _kept(clip, tokens: list[tuple]) -> list[int]:
    """Which of a phrase's tokens are words."""
    pieces = clip.tokenizer.untokenize([(number, 1.0) for _, number, _ in tokens if isinstance(number, int)])
    written = iter(piece.lstrip(SPACES) for _, piece in pieces)
    return words_among([next(written) if isinstance(number, int) else "embedding" for _, number, _ in tokens])


def _after(clip, phrase: str) -> int:
    """How many tokens the encoder's template has after a phrase."""
    tokens, nothing = (_words(clip, text) for text in (phrase, ""))
    after = 0
    while after < len(nothing) and nothing[-1 - after][1] == tokens[-1 - after][1]:
        after += 1
    return after


def concepts_of(clip, phrases: list[str], recipe: Recipe) -> torch.Tensor:
    """The encoder's vector of each phrase, after those of the unscored tokens: [1, left_out + P, width]."""
    if recipe.joined:
        text, counts = " ".join(phrases), torch.tensor([_words_in_chunk(clip, phrase) for phrase in phrases])
        rows = [*range(recipe.left_out), *(recipe.left_out - 1 + counts.cumsum(0)).tolist()]
        return _of_one_chunk(clip, text)[:, rows]
    row = _last_word if recipe.last else _first_word
    return torch.cat([row(clip, phrase) for phrase in phrases], 1)


def _first_word(clip, phrase: str) -> torch.Tensor:
    return conditioning_of(clip, phrase)[0][0][:, :1]


def _last_word(clip, phrase: str) -> torch.Tensor:
    """The vector of the phrase's last token, which the end of the encoder's template follows: [1, 1, width]."""
    tokens, after = _words(clip, phrase), _after(clip, phrase)
    text, (place, _, length) = conditioning_of(clip, phrase)[0][0], tokens[-1 - after]
    row = place - length  # from the end, because encoders drop the beginning of their template
    return text[:, row : row + 1 or None]


def _words(clip, text: str) -> list[tuple[int, int, int]]:
    """(place, number, count of all tokens with padding) of each token that is not padding."""
    (chunks, *_) = clip.tokenize(text, return_word_ids=True).values()
    every = [entry for chunk in chunks for entry in chunk]
    return [(place, entry[0], len(every)) for place, entry in enumerate(every) if entry[-1] > 0]


def _words_in_chunk(clip, phrase: str) -> int:
    """How many tokens the phrase has in an encoder that works in chunks."""
    (chunks, *_) = clip.tokenize(phrase, return_word_ids=True).values()
    return sum(entry[-1] > 0 for chunk in chunks for entry in chunk)


def _of_one_chunk(clip, text: str) -> torch.Tensor:
    (chunks, *_) = clip.tokenize(text).values()
    if len(chunks) > 1:
        raise ValueError(
            "the phrases and counter-words are more than this text encoder takes at once: name fewer of them"
        )
    return conditioning_of(clip, text)[0][0]
