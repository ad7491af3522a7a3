"""The guided filter (He, Sun, Tang 2013, colour guide): maps that follow the borders of a picture.

Within every window a map is fitted as a linear function of the picture's colours, and each pixel takes the mean of
the fits of all windows it lies in. So the soft edge of a coarse map becomes a step where the picture has one. The cost
of a map does not depend on the size of the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch.nn.functional import interpolate, pad

from .difference import resize_maps

UPSAMPLING_RADIUS = 4  # pixels of the maps
EPSILON = 1e-3  # squared difference of colours in 0..1: contrasts well below 3% are not followed


def radius_of(share: float, size: tuple[int, int]) -> int:
    """The radius in pixels of windows that are a `share` of the shorter side of `size`."""
    return max(1, round(share * min(size)))


def guided_filter(maps: torch.Tensor, picture: torch.Tensor, radius: int, epsilon: float = EPSILON) -> torch.Tensor:
    """`maps` [K, h, w] at the size of `picture` [H, W, 3], following its borders: [K, H, W] float32.

    The fits are made at the maps' own size, in windows of 2 * radius + 1 of their pixels. A larger `epsilon` smooths
    over more contrast. Border values are repeated outwards.

    >>> picture = torch.zeros(8, 8, 3)  # [H, W, 3], black
    >>> picture[:, 5:] = 1.0  # and white from column 5 on
    >>> coarse = torch.zeros(1, 8, 8)  # [K, h, w]
    >>> coarse[:, :, 4:] = 1.0  # a mask whose border is a pixel off
    >>> mask = guided_filter(coarse, picture, radius=2) > 0.5
    >>> mask.shape, mask[0, 0].int().tolist()
    (torch.Size([1, 8, 8]), [0, 0, 0, 0, 0, 1, 1, 1])
    """
    height, width = maps.shape[-2:]
    return torch.stack(list(map(guided_upsampler(picture, (height, width), radius, epsilon), maps)))


def is_larger(size: Sequence[int], than: Sequence[int]) -> bool:
    """Whether `size` is larger both ways, so that the picture has borders that maps of size `than` do not show."""
    return all(side > own for side, own in zip(size, than))


def guided_upsampler(
    picture: torch.Tensor, size: tuple[int, int], radius: int = UPSAMPLING_RADIUS, epsilon: float = EPSILON
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that brings a map [h, w] of `size` to the size of `picture` [H, W, 3], following its borders.

    The fits are made at the map's own size, in windows of 2 * radius + 1 of its pixels. They are enlarged bilinearly
    and applied to the whole picture (He, Sun 2015, "Fast guided filter"). Farther than 2 * radius pixels from the
    map's nonzero values the fits are 0, and are not computed.
    """
    picture = picture.movedim(-1, 0).float().contiguous()  # [3, H, W]
    guide = resize_maps(picture, size)
    mean_guide = box_mean(guide, radius)
    factors = _factors(guide, mean_guide, radius, epsilon)  # [6, h, w]

    def upsample(values: torch.Tensor) -> torch.Tensor:
        fit, box = guide.new_zeros(4, *size), _box_around(values, 2 * radius)
        if box:
            colours, means, parts = (each[:, *box] for each in (guide, mean_guide, factors))
            fit[:, *box] = _fit(values[box].float(), colours, means, parts, radius)
        if fit.shape[-2:] != picture.shape[-2:]:
            fit = interpolate(fit[None], picture.shape[-2:], mode="bilinear")[0]
        result, *slopes = fit
        for slope, colour in zip(slopes, picture):
            result.addcmul_(slope, colour)
        return result

    return upsample


def box_mean(values: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over each pixel's window of 2 * radius + 1 a side, borders repeated outwards: [C, H, W] -> [C, H, W].

    The method is that of van Herk (1992) and Gil and Werman (1993) for maxima. Values along each axis are divided into
    blocks as long as a window, with running sums inside each. A window is the end of one block and the beginning of
    the next, so the cost does not depend on its size. No sum is longer than a window, so float32 is as exact as direct
    summation, however large the picture.
    """
    side = 2 * radius + 1
    return _sums_down(_sums_along(values, radius), radius).div_(side * side)


def _sums_along(values: torch.Tensor, radius: int) -> torch.Tensor:
    width, side = values.shape[-1], 2 * radius + 1
    beyond = radius + 1, radius + -width % side  # whole blocks; the first one ends where the first window begins
    blocks = pad(values[None], (*beyond, 0, 0), mode="replicate")[0].unflatten(-1, (-1, side))
    sums = blocks.cumsum(-1)
    windows = (sums[..., 1:, :] - sums[..., :-1, :]).add_(sums[..., :-1, -1:])
    return windows.flatten(-2)[..., :width]


def _sums_down(values: torch.Tensor, radius: int) -> torch.Tensor:
    height, side = values.shape[-2], 2 * radius + 1
    beyond = radius + 1, radius + -height % side
    sums = pad(values[None], (0, 0, *beyond), mode="replicate")[0].unflatten(-2, (-1, side))
    for above, row in pairwise(sums.unbind(-2)):  # several times as fast as cumsum down columns
        row += above
    windows = (sums[..., 1:, :, :] - sums[..., :-1, :, :]).add_(sums[..., :-1, -1:, :])
    return windows.flatten(-3, -2)[..., :height, :]


def _factors(guide: torch.Tensor, mean: torch.Tensor, radius: int, epsilon: float) -> torch.Tensor:
    """The colours' covariance in each window plus epsilon, as L D L^T: 1/d1, l21, l31, 1/d2, l32, 1/d3 [6, h, w].

    Unlike an inverse by cofactors, these factors stay exact where the colours are nearly grey.
    """

    def covariance(one: int, other: int) -> torch.Tensor:
        product = box_mean((guide[one] * guide[other])[None], radius)[0]
        return product - mean[one] * mean[other]

    first = covariance(0, 0) + epsilon
    c21, c31 = covariance(1, 0), covariance(2, 0)
    l21, l31 = c21 / first, c31 / first
    second = covariance(1, 1) + epsilon - l21 * c21
    c32 = covariance(2, 1) - l31 * c21
    l32 = c32 / second
    third = covariance(2, 2) + epsilon - l31 * c31 - l32 * c32
    return torch.stack([1 / first, l21, l31, 1 / second, l32, 1 / third])


def _fit(values, guide, mean_guide, factors, radius: int) -> torch.Tensor:
    """The offset and the slopes for the three colours, averaged over the windows each pixel lies in: [4, h, w]."""
    fit = box_mean(torch.cat([values[None], values * guide]), radius)
    mean, *slopes = fit  # overwritten: products become covariances, then slopes; the mean becomes the offset
    for covariance, own in zip(slopes, mean_guide):
        covariance.addcmul_(mean, own, value=-1)
    _solve(factors, *slopes)
    for slope, own in zip(slopes, mean_guide):
        mean.addcmul_(slope, own, value=-1)
    return box_mean(fit, radius)


def _solve(factors, b1, b2, b3) -> None:
    """Solve L D L^T x = b in each window; x overwrites b."""
    d1, l21, l31, d2, l32, d3 = factors
    b2.addcmul_(l21, b1, value=-1)
    b3.addcmul_(l31, b1, value=-1).addcmul_(l32, b2, value=-1).mul_(d3)
    b2.mul_(d2).addcmul_(l32, b3, value=-1)
    b1.mul_(d1).addcmul_(l21, b2, value=-1).addcmul_(l31, b3, value=-1)


def _box_around(values: torch.Tensor, margin: int) -> tuple[slice, slice] | None:
    """The rows and columns of the smallest box around a map's nonzero values, `margin` pixels wider each way."""
    filled = values != 0
    if not filled.any():
        return None
    rows, columns = (filled.any(axis).nonzero() for axis in (1, 0))
    return _wider(rows, margin), _wider(columns, margin)


def _wider(places: torch.Tensor, margin: int) -> slice:
    return slice(max(0, int(places[0]) - margin), int(places[-1]) + 1 + margin)
