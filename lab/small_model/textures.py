"""Scenes whose regions are cut out of photographs: the same shapes and labels, no colour that gives a region away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .scenes import Scene, scene

TINT = 0.35  # how far a region's colours may be shifted


def textured_scene(seed: int, pictures: Sequence[np.ndarray], size: int) -> Scene:
    """The scene of a seed with every region filled from one of the pictures [H, W, 3] in 0..1, shifted in colour."""
    plain, rng = scene(seed, size), np.random.default_rng(seed)
    image = np.zeros_like(plain.image)
    for region in range(len(plain.words)):
        filling = random_crop(pictures[int(rng.integers(len(pictures)))], size, rng)
        shifted = np.clip(filling + rng.uniform(-TINT, TINT, 3), 0, 1)
        image = np.where((plain.labels == region)[..., None], shifted, image)
    return Scene(image.astype(np.float32), plain.labels, plain.words)


def random_crop(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of the picture [H, W, 3], a third of its shorter side or more, at `size` pixels, mirrored or not."""
    pixels = resized(square(picture, 1 / 3, rng), size)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def square(picture: np.ndarray, least: float, rng: np.random.Generator) -> np.ndarray:
    """A random square of the picture [H, W, any], `least` of its shorter side or more."""
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(least, 1))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return picture[top : top + side, left : left + side]


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture [H, W, 3] in 0..1 at size x size pixels, float32."""
    pixels = Image.fromarray((picture * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(pixels, np.float32) / 255
