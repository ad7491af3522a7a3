"""Which mask a point means, judged by how people point and how things look. Masks [h, w] bool of a picture [h, w, 3].

One point does not tell how large a thing is meant. Three cues hold for things of every size: people point at the
middle, a thing ends where the picture changes, and it consists of what is like the point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from .levels import area_of, overlap
from .segments.texts import Points

LEAST_DEPTH, LEAST_CHANGE = 0.02, 0.1  # these are added, so that no cue alone decides


def plausibility(masks: Sequence[Tensor], like: Tensor, picture: Tensor, points: Points) -> Tensor:
    """The log of how plausible it is that points (x, y) mean each of the masks, up to a constant: [N].

    `like` [h, w] bool is the mask of what is like the points. The first point is taken to lie in the thing's middle.
    Further points mend what was shown, so that likeness to all of them counts the more. The cues have no other weights:
    weights tuned on one model, or on one kind of photographs, do not carry over.
    """
    deep, sharp, alike = cues(masks, like, picture, points[0]).unbind(1)
    return ((deep + LEAST_DEPTH).log() + (sharp + LEAST_CHANGE).log()) / len(points) + alike


def cues(masks: Sequence[Tensor], like: Tensor, picture: Tensor, point: tuple[int, int]) -> Tensor:
    """How deep in each mask the point lies, how much the picture changes at its outline, and its overlap with `like`.

    [N, 3]. Depths are shares of the square root of the area, changes are relative to the picture's mean.
    """
    away, changes = squared_distances(like.shape, point), changes_in(picture)
    return torch.tensor([(depth(mask, away), mean_at(outline(mask), changes), overlap(mask, like)) for mask in masks])


def squared_distances(size: Sequence[int], point: tuple[int, int]) -> Tensor:
    """Those of a point (x, y) to every pixel of a picture of the size, and to the pixels around it: [h + 2, w + 2]."""
    rows, columns = (torch.arange(-1.0, length + 1) - own for length, own in zip(size, reversed(point), strict=True))
    return rows.square()[:, None] + columns.square()


def depth(mask: Tensor, away: Tensor) -> float:
    """How far a point is from the nearest pixel outside a mask [h, w], as a share of the square root of its area.

    `away` [h + 2, w + 2] are squared distances to the point. Beyond the picture all is outside.
    """
    nearest = away.masked_fill(pad(mask, (1, 1, 1, 1)), torch.inf).amin()
    return float(nearest) ** 0.5 / max(area_of(mask), 1) ** 0.5


def outline(mask: Tensor) -> Tensor:
    """The pixels of a mask [h, w] that have a side on its outside, or on the picture's."""
    inside = pad(mask, (1, 1, 1, 1))
    return mask & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])


def mean_at(mask: Tensor, values: Tensor) -> float:
    return float((values * mask).sum()) / max(area_of(mask), 1)


def changes_in(picture: Tensor) -> Tensor:
    """The steepness of the brightness of a picture [h, w, 3], relative to the mean: [h, w]."""
    grey = pad(picture.float().mean(-1)[None], (1, 1, 1, 1), "replicate")[0]  # a side may have one pixel
    steepness = torch.hypot(grey[2:, 1:-1] - grey[:-2, 1:-1], grey[1:-1, 2:] - grey[1:-1, :-2])
    return steepness / steepness.mean().clamp_min(1e-6)
