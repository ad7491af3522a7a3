"""Scenes whose regions are cut out of photographs: the same shapes and labels, no colour that gives a region away."""

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
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(1 / 3, 1))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    part = (picture[top : top + side, left : left + side] * 255).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(part).resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels
