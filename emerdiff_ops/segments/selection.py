"""Select segments by numbers, parts and points.

labels [H, W] int16, numbers 0..count-1. Points are (x, y) in whole pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch

from .regions import pixels_of_parts
from .texts import Part


def select(
    labels: torch.Tensor,
    numbers: Iterable[int],
    positive: Iterable[tuple[int, int]],
    negative: Iterable[tuple[int, int]],
    invert: bool = False,
    parts: Collection[Part] = (),
) -> torch.Tensor:
    """The pixels [H, W] bool of the segments in `numbers` and under `positive` points, and of connected `parts`.

    Segments under `negative` points are left out; with negative points alone, everything else is selected. `invert`
    swaps selected and unselected pixels at the end.
    """
    removed = under(labels, negative)
    wanted = set(numbers) | under(labels, positive)
    if removed and not wanted and not parts:
        wanted = set(labels.unique().tolist())
    left = [part for part in parts if part.number not in wanted | removed]
    pixels = pixels_of(labels, wanted - removed, invert)
    return pixels ^ pixels_of_parts(labels, left) if left else pixels


def under(labels: torch.Tensor, points: Iterable[tuple[int, int]]) -> set[int]:
    """Numbers of the segments in labels [H, W] under the points."""
    return {int(labels[y, x]) for x, y in points}


def pixels_of(labels: torch.Tensor, numbers: set[int], invert: bool = False) -> torch.Tensor:
    """True where labels [...] are among the numbers; `invert` swaps true and false."""
    table = torch.full((1 + max([int(labels.max()), *numbers]),), invert, device=labels.device)
    table[sorted(numbers)] = not invert
    return table.index_select(0, labels.flatten().int()).view(labels.shape)
