"""Which mask a point means, judged by how people point and how things look. Masks [h, w] bool of a picture [h, w, 3].

One point does not tell how large a thing is meant. Three cues hold for things of every size: people point at the
middle, a thing ends where the picture changes, and it consists of what is like the point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

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
    stacked = torch.stack([like, *masks])  # [1 + N, h, w]
    flat = stacked.flatten(1).float()
    areas, common = flat.sum(1), flat @ flat[0]
    deep = distance_to_outside(stacked, point) / areas.clamp_min(1).sqrt()
    alike = common / (areas + areas[0] - common).clamp_min(1)
    outlines = outlines_of(stacked).flatten(1).float()
    sharp = outlines @ changes_in(picture).flatten() / outlines.sum(1).clamp_min(1)
    return torch.stack([deep, sharp, alike], 1)[1:]


def distance_to_outside(masks: Tensor, point: tuple[int, int]) -> Tensor:
    """How far a point (x, y) is from the nearest pixel outside each mask [N, h, w], 0 where it is outside itself: [N].

    Beyond the picture all is outside.
    """
    (height, width), (x, y) = masks.shape[1:], point
    rows, columns = (torch.arange(length).float() - own for length, own in ((height, y), (width, x)))
    squared = rows.square()[:, None] + columns.square()
    frame = min(x + 1, y + 1, width - x, height - y) ** 2
    return squared.masked_fill(masks, frame).flatten(1).amin(1).clamp_max(frame).sqrt()


def outlines_of(masks: Tensor) -> Tensor:
    """The pixels of each mask [N, h, w] that have a side on its outside, or on the picture's."""
    inside = pad(masks, (1, 1, 1, 1))
    return masks & ~(inside[:, :-2, 1:-1] & inside[:, 2:, 1:-1] & inside[:, 1:-1, :-2] & inside[:, 1:-1, 2:])


def changes_in(picture: Tensor) -> Tensor:
    """The steepness of the brightness of a picture [h, w, 3], relative to the mean: [h, w]."""
    steepness = torch.hypot(*torch.gradient(picture.float().mean(-1)))
    return steepness / steepness.mean().clamp_min(1e-6)
