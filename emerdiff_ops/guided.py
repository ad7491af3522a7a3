"""The guided filter (He, Sun, Tang 2013, colour guide): maps that follow the borders of a picture.

Within every window a map is fitted as a linear function of the picture's colours, and each pixel takes the mean of
the fits of all windows it lies in. A coarse map's soft flank so becomes a step where the picture has one.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, pad

EPSILON = 1e-3  # colours in 0..1, squared: contrasts well below 3% are not followed


def guided_filter(maps: torch.Tensor, picture: torch.Tensor, radius: int, epsilon: float = EPSILON) -> torch.Tensor:
    """`maps` [K, H, W] filtered along `picture` [H, W, 3], in windows of 2 * radius + 1 pixels; float32.

    A larger `epsilon` smooths over more contrast. Borders are repeated outwards. One map at a time is held.
    """
    guide = picture.movedim(-1, 0).float()  # [3, H, W]
    mean_guide = _mean(guide, radius)
    products = _mean((guide[:, None] * guide[None]).flatten(0, 1), radius).unflatten(0, (3, 3))
    spread = products - mean_guide[:, None] * mean_guide[None]  # [3, 3, H, W]
    ridge = epsilon * torch.eye(3, device=guide.device)
    inverse = torch.linalg.inv(spread.permute(2, 3, 0, 1) + ridge)  # [H, W, 3, 3]
    return torch.stack([_fitted(each.float(), guide, mean_guide, inverse, radius) for each in maps])


def _fitted(values, guide, mean_guide, inverse, radius: int) -> torch.Tensor:
    mean = _mean(values[None], radius)[0]
    covariance = _mean(values * guide, radius) - mean * mean_guide  # [3, H, W]
    slope = torch.einsum("hwij,jhw->ihw", inverse, covariance)
    offset = mean - (slope * mean_guide).sum(0)
    return (_mean(slope, radius) * guide).sum(0) + _mean(offset[None], radius)[0]


def _mean(values: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over each pixel's window: [C, H, W] -> [C, H, W]."""
    return avg_pool2d(pad(values[None], (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)[0]
