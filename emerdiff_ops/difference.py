"""Difference maps: where the picture responds to a modulation (paper, section 3: d_i = || I_i^- - I_i^+ ||_2).

Pictures are [N, H, W, 3] in 0..1, latents [N, C, h, w], maps [..., H, W] float32.
"""

from __future__ import annotations

import torch

TRUNCATE = 4.0  # sigmas; where the Gaussian kernel ends
SPECKLE = 1.0  # pixels; Gaussian sigma before a map's maximum is read


def difference_maps(variants: torch.Tensor, base: torch.Tensor | None = None, axis: int = -1) -> torch.Tensor:
    """d_i of the paper's section 3, the L2 norm over RGB of I_i^- - I_i^+, float32 without the axis of the norm.

    variants [2K, H, W, 3], I_1^-, I_1^+, I_2^-, I_2^+, ..., give K maps. With `base` [1, H, W, 3], the unmodulated
    picture, K variants give K maps d_i = || I_i - base ||_2. `axis` is the axis of the colours or channels.

    >>> pictures = torch.zeros(2, 4, 4, 3)  # [2K, H, W, 3]: one mask, pushed down and up
    >>> pictures[1, 0, 0] = torch.tensor([3.0, 4.0, 0.0])
    >>> maps = difference_maps(pictures)
    >>> maps.shape, maps[0, 0, 0].item()
    (torch.Size([1, 4, 4]), 5.0)
    """
    variants = variants.float()
    change = variants[::2] - variants[1::2] if base is None else variants - base.float()
    return torch.linalg.vector_norm(change, dim=axis)


def halfway(finals: torch.Tensor) -> torch.Tensor:
    """One latent per mask instead of two: x_0 + (x_i^+ - x_i^-) / 2, [1 + 2K, C, h, w] -> [1 + K, C, h, w].

    A decoder is nearly linear over so small a change, and shows half of I_i^+ - I_i^- against I_0, for half the work.
    """
    base, variants = finals[:1], finals[1:]
    return torch.cat([base, base + (variants[1::2] - variants[::2]) / 2])


def evened(maps: torch.Tensor, evenness: float) -> torch.Tensor:
    """Each of `maps` [K, H, W] divided by its smoothed maximum to the power of `evenness`; 0 changes nothing.

    Maps of different masks differ in scale. 1 gives all the same maximum. 0.5 raises weak maps but keeps the order of
    their maxima.
    """
    if evenness == 0:
        return maps
    peaks = torch.stack([gaussian_smooth(each, SPECKLE).amax() for each in maps])[:, None, None]
    return maps / peaks.clamp_min(1e-8) ** evenness


def gaussian_smooth(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian filter of `maps` [..., H, W] along the last two axes, against pixel artefacts (paper, section 3).

    `sigma` in pixels. The kernel ends at 4 sigma and edges are mirrored about the border of the outermost pixel
    (d c b a | a b c d | d c b a), also where the image is smaller than the kernel. A sigma too small to reach a
    neighbour, such as 0, gives the maps themselves.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    if radius < 1:
        return maps
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    weights = (kernel / kernel.sum()).tolist()
    return _weighted_sums(_weighted_sums(maps.float(), weights, -2), weights, -1)


def _weighted_sums(maps: torch.Tensor, weights: list[float], axis: int) -> torch.Tensor:
    """The weighted sum of the pixels around each pixel along an axis. Not a convolution: GPUs round those."""
    side, radius = maps.shape[axis], len(weights) // 2
    places = mirrored_indices(side + 2 * radius, radius, side, maps.device)
    before, after = (maps.index_select(axis, each) for each in (places[:radius], places[-radius:]))
    padded = torch.cat([before, maps, after], axis)
    total = torch.zeros_like(maps)
    for start, weight in enumerate(weights):
        total.add_(padded.narrow(axis, start, side), alpha=weight)
    return total


def mirrored_indices(length: int, begin: int, side: int, device: torch.device | None = None) -> torch.Tensor:
    """The index into a mirrored side, which begins at `begin`, of each of `length` places: b a | a b c | c b a."""
    places = (torch.arange(length, device=device) - begin) % (2 * side)
    return torch.minimum(places, 2 * side - 1 - places)


def resize_maps(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear resize of `maps` [K, h, w] to `size` (H, W), pixel centres aligned, antialiased where it shrinks."""
    height, width = maps.shape[-2:]
    if (height, width) == tuple(size):
        return maps
    shrinks = size[0] < height or size[1] < width
    resized = torch.nn.functional.interpolate(maps[:, None].float(), tuple(size), mode="bilinear", antialias=shrinks)
    return resized[:, 0]  # [K, H, W]
