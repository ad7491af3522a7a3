"""The guided filter (He, Sun, Tang 2013, colour guide): maps that follow the borders of a picture.

Within every window a map is fitted as a linear function of the picture's colours, and each pixel takes the mean of
the fits of all windows it lies in. A coarse map's soft flank so becomes a step where the picture has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import avg_pool2d, interpolate, pad

from .difference import resize_maps

UPSAMPLING_RADIUS = 4  # pixels of the maps
# Of the shorter side, the windows in which masks find the borders they mean. Wider ones gain on scenes, whose things
# differ in colour, and no more on photographs (docs/performance.md).
ROUGH, COARSE = 3 / 32, 5 / 32
EPSILON = 1e-3  # colours in 0..1, squared: contrasts well below 3% are not followed


def radius_of(share: float, size: tuple[int, int]) -> int:
    """Radius in pixels of windows that are such a share of a picture of this size."""
    return max(1, round(share * min(size)))


def guided_filter(maps: torch.Tensor, picture: torch.Tensor, radius: int, epsilon: float = EPSILON) -> torch.Tensor:
    """`maps` [K, h, w] at the size of `picture` [H, W, 3], following its borders: [K, H, W] float32.

    The fits are made at the maps' own size, in windows of 2 * radius + 1 of their pixels. A larger `epsilon` smooths
    over more contrast. Borders are repeated outwards.
    """
    height, width = maps.shape[-2:]
    return torch.stack(list(map(guided_upsampler(picture, (height, width), radius, epsilon), maps)))


def guided_upsample(maps: torch.Tensor, picture: torch.Tensor, radius: int = UPSAMPLING_RADIUS) -> torch.Tensor:
    """`maps` [K, h, w] at the size of `picture` [H, W, 3]: along its borders where that is larger, else resized."""
    height, width = picture.shape[:2]
    if not is_larger((height, width), maps.shape[-2:]):
        return resize_maps(maps, (height, width))
    return guided_filter(maps, picture, radius)


def is_larger(size: Sequence[int], than: Sequence[int]) -> bool:
    """Whether a picture of this size has borders that maps of the other size do not show: larger both ways."""
    return all(side > own for side, own in zip(size, than))


def guided_upsampler(
    picture: torch.Tensor, size: tuple[int, int], radius: int = UPSAMPLING_RADIUS, epsilon: float = EPSILON
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What brings a map [h, w] of this size to the size of `picture` [H, W, 3], following its borders.

    The fits are made at the map's own size, in windows of 2 * radius + 1 of its pixels, and enlarged bilinearly
    (He, Sun 2015, "Fast guided filter"); what they are applied to is the whole picture.
    """
    picture = picture.movedim(-1, 0).float()  # [3, H, W]
    guide = resize_maps(picture, size)
    mean_guide = _mean(guide, radius)
    products = _mean((guide[:, None] * guide[None]).flatten(0, 1), radius).unflatten(0, (3, 3))
    spread = products - mean_guide[:, None] * mean_guide[None]  # [3, 3, h, w]
    ridge = epsilon * torch.eye(3, device=guide.device)
    inverse = torch.linalg.inv(spread.permute(2, 3, 0, 1) + ridge)  # [h, w, 3, 3]

    def upsample(values: torch.Tensor) -> torch.Tensor:
        fit = _fit(values.float(), guide, mean_guide, inverse, radius)  # [4, h, w]
        if fit.shape[-2:] != picture.shape[-2:]:
            fit = interpolate(fit[None], picture.shape[-2:], mode="bilinear")[0]
        return (fit[:3] * picture).sum(0) + fit[3]

    return upsample


def _fit(values, guide, mean_guide, inverse, radius: int) -> torch.Tensor:
    """Slopes for the three colours and the offset, averaged over the windows each pixel lies in: [4, h, w]."""
    mean = _mean(values[None], radius)[0]
    covariance = _mean(values * guide, radius) - mean * mean_guide  # [3, h, w]
    slope = torch.einsum("hwij,jhw->ihw", inverse, covariance)
    offset = mean - (slope * mean_guide).sum(0)
    return _mean(torch.cat([slope, offset[None]]), radius)


def _mean(values: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over each pixel's window: [C, H, W] -> [C, H, W]. Row by row, then down: large windows cost little more."""
    padded, side = pad(values[None], (radius,) * 4, mode="replicate"), 2 * radius + 1
    return avg_pool2d(avg_pool2d(padded, (1, side), 1), (side, 1), 1)[0]
