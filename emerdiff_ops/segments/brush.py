"""Brush corrections: pictures that replace parts of a mask.

Where a correction is opaque, its brightness becomes the mask. Where it is transparent, the mask stays as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import interpolate

from .texts import of_each, split_fingerprint


class Correction(NamedTuple):
    """A correction's file, and the fingerprint of the picture it was made on; None if the text gives none."""

    file: str
    made_on: str | None


def parse_corrections(text: str, count: int) -> list[Correction | None]:
    """The correction of each of `count` pictures: one file for all, or one a picture, as in "a.png @1a2b3c4d; ; b.png".

    Raises ValueError for files of more pictures than there are.
    """
    parts = [part.strip() for part in text.split(";")]
    if any(parts[count:]):
        raise ValueError(f"correction names files for {len(parts)} pictures, but there are {count}; one file for each")
    return [Correction(*split_fingerprint(part)) if part else None for part in of_each(parts, count)[:count]]


def has_shape_of(correction: torch.Tensor, height: int, width: int) -> bool:
    """Whether a correction [h, w, 2] has the picture's aspect ratio, apart from the rounding of sides."""
    own_height, own_width = correction.shape[:2]
    return abs(own_height * width - own_width * height) <= max(own_height, own_width, height, width)


def corrected(mask: torch.Tensor, correction: torch.Tensor) -> torch.Tensor:
    """The mask [H, W] corrected by [h, w, 2], brightness and opacity in 0..1, which is resized to the mask."""
    brightness, opacity = correction.unbind(-1)
    layers = torch.stack([brightness * opacity, opacity])[None]  # [1, 2, h, w]
    if layers.shape[2:] != mask.shape:
        layers = interpolate(layers, mask.shape, mode="bilinear", antialias=True)
    added, covered = layers[0]
    return (mask * (1 - covered) + added).clamp(0, 1)
