"""What the small Stable Diffusion learns from: latents of photographs and scenes, and what can be seen where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from small_model.autoencoder import CELL
from small_model.photographs import Photograph
from small_model.scenes import scene
from small_model.textures import resized, square, textured_scene
from small_model.words import SMALL_SD, word_of

SIZE = 320  # pixels of what is encoded; windows of it are learned from
SHARES = {"photographs": 0.6, "textured scenes": 0.2, "plain scenes": 0.2}
NAMED = 0.4  # of the photographs, those whose regions have names
SMALLEST_PART = 0.5  # of a photograph's shorter side
NATURAL = 0.5  # share of the photographs that keep their colours
AT_ONCE = 8


def pool(pictures: Sequence[Photograph], autoencoder, count: int, file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [N, c, 40, 40] float16 and tokens [N, 40, 40] uint8, 0 where nothing is named; kept in the file."""
    if not file.exists():
        made = list(encoded(pictures, autoencoder, range(count)))
        file.parent.mkdir(exist_ok=True)
        torch.save(tuple(torch.cat(each) for each in zip(*made, strict=True)), file)
    return torch.load(file, weights_only=True)


@torch.no_grad()
def encoded(pictures: Sequence[Photograph], autoencoder, seeds: range) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Latents [n, c, 40, 40] float16 and tokens [n, 40, 40] uint8 of the seeds' pictures, a few at a time."""
    device = next(autoencoder.parameters()).device
    for first in range(0, len(seeds), AT_ONCE):
        items = [item(pictures, seed) for seed in seeds[first : first + AT_ONCE]]
        pixels = torch.from_numpy(np.stack([image for image, _ in items])).movedim(-1, 1)  # [N, 3, SIZE, SIZE]
        latents = autoencoder.encode(pixels.to(device) * 2 - 1)
        yield latents.cpu().half(), torch.from_numpy(np.stack([tokens for _, tokens in items]))
        if first % 160 == 0:
            print(f"{first} of {len(seeds)} pictures encoded", flush=True)


def item(pictures: Sequence[Photograph], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture [SIZE, SIZE, 3] of a seed and the token of what each cell shows, [SIZE / 8, SIZE / 8]."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(list(SHARES), p=list(SHARES.values()))
    if kind == "photographs":
        image, tokens = photograph_part(pictures, rng)
    else:
        made = scene(seed, SIZE) if kind == "plain scenes" else textured_scene(seed, [p.image for p in pictures], SIZE)
        tokens = np.array([SMALL_SD.index(word) for word in made.words], np.uint8)[made.labels]
        image = made.image[..., rng.permutation(3)]
    if rng.random() < 0.5:
        image, tokens = image[:, ::-1], tokens[:, ::-1]
    return image.copy(), tokens[CELL // 2 :: CELL, CELL // 2 :: CELL].copy()


def photograph_part(pictures: Sequence[Photograph], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A square of a photograph [SIZE, SIZE, 3], and the tokens of its pixels."""
    named = [picture for picture in pictures if picture.words]
    among = named if rng.random() < NAMED and named else pictures
    chosen = among[int(rng.integers(len(among)))]
    words = [word_of(word) for word in chosen.words]
    table = np.array([SMALL_SD.index(word) if word in SMALL_SD else 0 for word in words] or [0], np.uint8)
    tokens = table[chosen.truths[0]] if words else np.zeros(chosen.image.shape[:2], np.uint8)
    part = square(np.concatenate([chosen.image, tokens[..., None]], -1), SMALLEST_PART, rng)
    image = resized(part[..., :3], SIZE)
    if rng.random() > NATURAL:
        image = image[..., rng.permutation(3)]
    at = (np.arange(SIZE) + 0.5) * len(part) / SIZE
    return image, part[..., 3][at.astype(int)[:, None], at.astype(int)].astype(np.uint8)


def window(latents: torch.Tensor, tokens: torch.Tensor, cells: int, rng) -> tuple[torch.Tensor, torch.Tensor]:
    """A random window [c, cells, cells] of latents [c, 40, 40], and of its tokens."""
    top, left = (int(rng.integers(latents.shape[-1] - cells + 1)) for _ in range(2))
    here = slice(top, top + cells), slice(left, left + cells)
    return latents[(slice(None), *here)].float(), tokens[here]


def prompt(tokens: torch.Tensor, length: int, least: float = 0.02) -> torch.Tensor:
    """The words of what fills `least` of a window or more, the largest first, [length] padded with 0."""
    counts = torch.bincount(tokens.flatten().long(), minlength=len(SMALL_SD)) / tokens.numel()
    counts[0] = 0
    chosen = counts.argsort(descending=True)[:length]
    return torch.where(counts[chosen] >= least, chosen, 0)
