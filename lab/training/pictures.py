"""What the small Flux learns words from: latents of scenes and photographs, prompts, and the word of each token."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from small_model.photographs import Photograph
from small_model.scenes import scene
from small_model.small_flux import PATCH, TOKENS
from small_model.textures import textured_scene
from small_model.words import COCO, SCENES, SMALL_SD

SHARES = {"photographs": 0.35, "textured": 0.2, "plain": 0.45}  # of what is encoded
SIZES = 256, 320  # pixels of scenes; photographs have the latter
CELLS, CELLS_SHARES = (24, 32, 40), (0.6, 0.3, 0.1)  # of a window's side
DROPPED, SHORTENED = 0.2, 0.16  # prompts without a word, and without some of its words
LEAST = 0.02  # of a window, that a word of its prompt fills
CONCEPTS = 5, 6, 8  # that compete, in turn by chance


class Windows(NamedTuple):
    """A batch: latents [N, c, h, w], prompts [N, TOKENS], the tokens' words [N, h*w / 4], concepts [N, n]."""

    latents: Tensor
    prompts: Tensor
    named: Tensor
    concepts: Tensor


def encoded(pictures: Sequence[Photograph], autoencoder, seeds: range) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(kind, latents [c, h, w] float16, words of the cells [h, w]) of the seeds' pictures, mirrored by chance."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        size = SIZES[1] if kind == "photographs" or rng.random() < 0.5 else SIZES[0]
        image, words = part(pictures, rng, size) if kind == "photographs" else shapes(kind, pictures, rng, seed, size)
        if rng.random() < 0.5:
            image, words = image[:, ::-1], words[:, ::-1]
        with torch.no_grad():
            latents = autoencoder.encode(torch.from_numpy(image.copy()).movedim(-1, 0)[None] * 2 - 1)
        yield kind, latents[0].half(), torch.from_numpy(words[4::8, 4::8].copy())


def shapes(kind: str, pictures: Sequence[Photograph], rng, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    made = scene(seed, size) if kind == "plain" else textured_scene(seed, [each.image for each in pictures], size)
    words = np.array([SMALL_SD.index(word) for word in made.words], np.uint8)[made.labels]
    return made.image[..., rng.permutation(3)] if rng.random() < 0.5 else made.image, words


def part(pictures: Sequence[Photograph], rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of a photograph, half of them with named regions, and the words of its pixels."""
    named = [each for each in pictures if each.words]
    among = named if rng.random() < 0.5 else pictures
    chosen = among[int(rng.integers(len(among)))]
    numbers = [SMALL_SD.index(word) if word in SMALL_SD else 0 for word in map(word_of, chosen.words)] or [0]
    words = np.array(numbers, np.uint8)[chosen.truths[0] if chosen.words else np.zeros_like(chosen.truths[0])]
    height, width = words.shape
    side = int(min(height, width) * rng.uniform(0.5, 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    here = slice(top, top + side), slice(left, left + side)
    pixels = Image.fromarray((chosen.image[here] * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    image, at = np.asarray(pixels, np.float32) / 255, ((np.arange(size) + 0.5) * side / size).astype(int)
    return image[..., rng.permutation(3)] if rng.random() > 0.6 else image, words[here][at[:, None], at]


def word_of(name: str) -> str:
    """The word of a region's name in COCO: "sky-other-merged" is the sky, "hot dog" one word."""
    for ending in ("-merged", "-other", "-stuff"):
        name = name.removesuffix(ending)
    return name.replace(" ", "-")


def pool(pictures: Sequence[Photograph], autoencoder, count: int, file: Path) -> dict[str, list]:
    """Latents and words by kind of picture, kept in the file."""
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        torch.save(list(encoded(pictures, autoencoder, range(100_000, 100_000 + count))), file)
    by_kind: dict[str, list] = {kind: [] for kind in SHARES}
    for kind, *made in torch.load(file, weights_only=True):
        by_kind[kind].append(made)
    return by_kind


def windows(by_kind: dict[str, list], shares: dict[str, float], number: int, rng) -> Windows:
    """Random windows of pictures of all kinds; all have one size and as many concepts."""
    cells, count = int(rng.choice(CELLS, p=CELLS_SHARES)), int(rng.choice(CONCEPTS))
    rows: list[tuple[Tensor, ...]] = []
    while len(rows) < number:
        made = by_kind[rng.choice(list(shares), p=list(shares.values()))]
        latents, words = made[int(rng.integers(len(made)))]
        if latents.shape[-1] < cells:
            continue
        top, left = (int(rng.integers(latents.shape[-1] - cells + 1)) for _ in range(2))
        latents, words = (each[..., top : top + cells, left : left + cells] for each in (latents, words))
        rows.append((latents.float(), prompt(words, rng), of_tokens(words), concepts(words, count, rng)))
    return Windows(*map(torch.stack, zip(*rows, strict=True)))


def of_tokens(words: Tensor) -> Tensor:
    """The most frequent word of each token's cells."""
    return words.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH).flatten(2).flatten(0, 1).long().mode(-1).values


def prompt(words: Tensor, rng) -> Tensor:
    """The words of what fills a part of a window, in any order, [TOKENS] padded with 0; some prompts lack words."""
    shares = torch.bincount(words.flatten().long(), minlength=len(SMALL_SD)) / words.numel()
    shares[0] = 0
    chosen = [int(word) for word in shares.argsort(descending=True)[:TOKENS] if shares[word] >= LEAST]
    rng.shuffle(chosen)
    chance = rng.random()
    if chance < DROPPED:
        chosen = []
    elif chance < DROPPED + SHORTENED:
        chosen = chosen[: max(1, len(chosen) - int(rng.integers(1, 3)))]
    return torch.tensor(chosen + [0] * (TOKENS - len(chosen)))


def concepts(words: Tensor, count: int, rng) -> Tensor:
    """The window's words and as many others as fill the count, the scenes' more often."""
    present = [int(word) for word in words.unique() if word > 0]
    rng.shuffle(present)
    present = present[:count]
    for vocabulary in (SCENES, COCO) if rng.random() < 0.6 else (COCO,):
        among = [number for number in map(SMALL_SD.index, vocabulary) if number not in present]
        if len(among) >= count - len(present):
            break
    chosen = present + [int(word) for word in rng.choice(among, count - len(present), replace=False)]
    rng.shuffle(chosen)
    return torch.tensor(chosen)
