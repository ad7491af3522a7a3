"""Texts encoded for the model by the CLIP in the graph, and which of their tokens are words."""

from __future__ import annotations

from functools import partial

import torch

from ...emerdiff_ops.seeds import words_among
from .recipes import Recipe, SeedRecipe

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


def words_in_prompt(clip, phrases: list[str], recipe: SeedRecipe) -> tuple[list, list[list[int]]]:
    """CONDITIONING of all phrases as one text, and the rows of the network's text that hold each phrase's words.

    A template may surround the text. ValueError for more tokens than the recipe allows.
    """
    has, takes = set(clip.tokenize("")), set(recipe.encoders) - {""}
    if takes - has or not takes and len(has) > 1:
        raise _other_encoders(has, ", ".join(sorted(takes)) or "one alone")
    places = {encoder: _places(clip, phrases, encoder, recipe.tokens) for encoder in dict.fromkeys(recipe.encoders)}
    conditioning = conditioning_of(clip, ", ".join(phrases))
    groups: list[list[int]] = [[] for _ in phrases]
    begin = 0
    for encoder, rows in zip(recipe.encoders, recipe.rows(*conditioning[0]), strict=True):
        own, length = places[encoder]
        above = rows - length  # encoders drop the beginning of their template
        for group, each in zip(groups, own, strict=True):
            if min(each) + above < 0:
                raise ValueError("this CLIP lacks one of the model's text encoders: load all of them")
            group += [begin + above + place for place in each]
        begin += rows
    return conditioning, groups


def _other_encoders(has: set[str], takes: str) -> ValueError:
    return ValueError(
        f"this CLIP's text encoders are {', '.join(sorted(has))}, the model takes {takes}: connect MODEL and CLIP of "
        "the same model"
    )


def _places(clip, phrases: list[str], encoder: str, most: int) -> tuple[list[list[int]], int]:
    """The places of each phrase's words among an encoder's tokens, and the count of all tokens with padding."""
    read, after = partial(_words, clip, encoder=encoder), _after(clip, phrases[0], encoder)
    tokens = read(", ".join(phrases))
    if len(tokens) > most:
        raise ValueError(
            f"the phrases and counter-words are {len(tokens)} tokens with the encoder's template, {most} at most: name "
            "fewer of them"
        )
    ends = [len(read(", ".join(phrases[:count]))) - after for count in range(1, len(phrases) + 1)]
    begins = [len(read("")) - after, *ends]
    tokenizer = getattr(clip.tokenizer, encoder) if encoder else clip.tokenizer
    own = [tokens[begin:end] for begin, end in zip(begins, ends)]
    return [[each[word][0] for word in _kept(tokenizer, each)] for each in own], tokens[0][2]


def _kept(tokenizer, tokens: list[tuple]) -> list[int]:
    """Which of a phrase's tokens are words."""
    pieces = tokenizer.untokenize([(number, 1.0) for _, number, _ in tokens if isinstance(number, int)])
    written = iter(piece.lstrip(SPACES) for _, piece in pieces)
    return words_among([next(written) if isinstance(number, int) else "embedding" for _, number, _ in tokens])


def _after(clip, phrase: str, encoder: str = "") -> int:
    """How many tokens the encoder's template has after a phrase."""
    tokens, nothing = (_words(clip, text, encoder) for text in (phrase, ""))
    after = 0
    while after < len(nothing) and nothing[-1 - after][1] == tokens[-1 - after][1]:
        after += 1
    return after


def concepts_of(clip, phrases: list[str], recipe: Recipe) -> torch.Tensor:
    """The encoder's vector of each phrase, after those of the unscored tokens: [1, left_out + P, width]."""
    has = set(clip.tokenize(""))
    if ("g" in has) != recipe.joined:  # SD3's text is as wide as Flux.1's
        raise _other_encoders(has, "g, l, t5xxl" if recipe.joined else "others")
    if recipe.joined:
        text, counts = " ".join(phrases), torch.tensor([_words_in_chunk(clip, phrase) for phrase in phrases])
        rows = [*range(recipe.left_out), *(recipe.left_out - 1 + counts.cumsum(0)).tolist()]
        return _of_one_chunk(clip, text)[:, rows]
    if recipe.last:
        return torch.cat([_last_word(clip, phrase) for phrase in phrases], 1)
    return torch.cat([conditioning_of(clip, phrase)[0][0][:, :1] for phrase in phrases], 1)


def _last_word(clip, phrase: str) -> torch.Tensor:
    """The vector of the phrase's last token, which the end of the encoder's template follows: [1, 1, width]."""
    tokens, after = _words(clip, phrase), _after(clip, phrase)
    text, (place, _, length) = conditioning_of(clip, phrase)[0][0], tokens[-1 - after]
    row = place - length  # from the end, because encoders drop the beginning of their template
    if after and tokens[-after][0] > place + 1:  # LongCat-Image's, which pads inside its template, drops the end too
        row += after
    return text[:, row : row + 1 or None]


def _words(clip, text: str, encoder: str = "") -> list[tuple[int, int, int]]:
    """(place, number, count of all tokens with padding) of each token that is not padding."""
    texts = clip.tokenize(text, return_word_ids=True)
    chunks = texts[encoder] if encoder else next(iter(texts.values()))
    every = [entry for chunk in chunks for entry in chunk]
    # LongCat-Image's numbers no words: an entry ends with the token's weight, and that of padding with 0.
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
