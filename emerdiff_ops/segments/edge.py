"""Changes to the edge of a finished mask: fill holes, grow or shrink it, feather it.

Lengths are in pixels of the mask. One signed distance gives all: d > 0 inside the mask, d = 0 between two pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from .boxes import box_around

HARD = 0.01  # pixels; a smaller feather counts as none


class Edge(NamedTuple):
    """How a mask's edge is changed; the defaults change nothing."""

    grow: int = 0  # pixels; negative: shrunk
    feather: float = 0.0  # pixels over which the mask goes from 1 to 0, half of them on each side
    fill_holes: bool = False


def edged(mask: torch.Tensor, edge: Edge) -> torch.Tensor:
    """clip((d + grow) / feather + 1/2, 0, 1) of a mask [H, W], cut at .5: [H, W] float32, on the processor.

    Without a feather, 1 where d + grow > 0. The picture's border is no edge: a mask that touches it stays whole there.
    """
    hard = mask.cpu() > 0.5
    if edge == Edge() or not hard.any():
        return hard.float()
    reach = max(0, edge.grow) + int(np.ceil(edge.feather)) + 1
    x1, y1, x2, y2 = box_around(hard.float(), reach) or (0, 0, 0, 0)
    inside = hard[y1:y2, x1:x2].numpy()
    if edge.fill_holes:
        inside = ndimage.binary_fill_holes(inside)
    changed = torch.zeros_like(mask, dtype=torch.float32, device="cpu")
    changed[y1:y2, x1:x2] = torch.from_numpy(_ramp(_signed_distance(inside) + edge.grow, edge.feather))
    return changed


def _ramp(distance: np.ndarray, feather: float) -> np.ndarray:
    if feather < HARD:
        return (distance > 0).astype(np.float32)
    return np.clip(distance / feather + 0.5, 0, 1).astype(np.float32)


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    """Signed distance [h, w], in pixels, to the line between inside and outside; infinite if all is inside."""
    if inside.all():
        return np.full(inside.shape, np.inf, np.float32)
    edt = ndimage.distance_transform_edt
    return np.where(inside, edt(inside) - 0.5, 0.5 - edt(~inside)).astype(np.float32)
