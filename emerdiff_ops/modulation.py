"""Modulated denoising (paper, sec. 3): lift coarse masks to pixels by adding each of them inside the UNet.

For mask M and c = +-lambda, c * M is added to one cross-attention layer's output at timestep t_m. The latent is
then denoised to 0 unmodulated, along the noise maps of the unmodulated run. That run is row 0 of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch

from .schedule import deterministic_step, nearest_timestep, noise_map, posterior_step, sample_level

# denoise(x [rows, C, h, w], sigma, offsets [rows, h*w] or None) -> denoised prediction [rows, C, h, w]
Denoise = Callable[[torch.Tensor, float, torch.Tensor | None], torch.Tensor]


class Preset(NamedTuple):
    """How coarse masks are lifted to pixels."""

    timestep: int  # t_m, where the UNet is modulated
    steps: int | None = None  # UNet evaluations from t_m to 0; None: every timestep of the trajectory
    deterministic: bool = False  # DDIM steps instead of the DDPM inversion's
    # what is compared: both decoded pictures ("pairs"), one decoded "halfway" between, or the "latents",
    # enlarged along the picture's borders
    readout: str = "pairs"
    evenness: float = 0.0  # each map is divided by its maximum to this power
    prior: bool = False  # each map is weighted by its coarse mask, made to follow the picture's borders
    lifts: bool = True  # False: the coarse masks themselves, made to follow the picture's borders


# All but the paper's were tuned on the two small models of lab/ (docs/measured/pareto.md), not on Stable Diffusion.
PRESETS = {
    "paper": Preset(timestep=281),
    "balanced": Preset(timestep=381, steps=4, deterministic=True, readout="halfway", evenness=0.5, prior=True),
    "fast": Preset(timestep=281, steps=2, deterministic=True, readout="latents", evenness=0.5, prior=True),
    "draft": Preset(timestep=281, lifts=False),
}


# A relative strength of 1 adds this many times the root mean square of the layer's output. The default of 10 is near
# the best on two models whose outputs differ elevenfold (docs/measured/strength.md).
RELATIVE = 10.0


def modulation_levels(grid: tuple[int, ...], start: int, steps: int | None = None) -> tuple[int, ...]:
    """The timesteps from the modulated one down: 281, 261, ..., 21, 1 (15 of them) in the paper.

    `steps` picks that many, evenly spaced from `start` towards 0, if the grid has enough.
    """
    levels = tuple(timestep for timestep in grid if timestep <= start)
    if steps is None or steps >= len(levels):
        return levels
    wanted = (start * (steps - step) / steps for step in range(steps))
    return tuple(dict.fromkeys(nearest_timestep(timestep, levels) for timestep in wanted))


def variant_offsets(masks: torch.Tensor, strength: float) -> torch.Tensor:
    """c * M of every variant, [K, h, w] -> [2K, h*w]: c = -lambda and +lambda in turn."""
    flat = strength * masks.flatten(1)  # [K, h*w]
    return torch.stack([-flat, flat], 1).flatten(0, 1)


def modulated_denoising(
    denoise: Denoise,
    x0: torch.Tensor,
    noises: Sequence[torch.Tensor],
    sigmas: Sequence[float],
    offsets: torch.Tensor,
    deterministic: bool = False,
) -> torch.Tensor:
    """Denoise one variant per offset, and the unmodulated run, from sigmas[0] to 0.

    x0 [1, C, h, w]; noises, the sampled eps [1, C, h, w] of each level; sigmas, descending, same length;
    offsets [variants, h*w]; deterministic, DDIM steps instead of DDPM's. Returns the final latents
    [1 + variants, C, h, w], the unmodulated run first.

    >>> masks = torch.eye(4).reshape(4, 2, 2)  # [K, h, w], a cell each
    >>> def denoise(x, sigma, offsets):  # stands in for a UNet: what is pushed shows in the latent
    ...     return x if offsets is None else x + offsets.reshape(-1, 1, 2, 2)
    >>> x0, noise = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    >>> finals = modulated_denoising(denoise, x0, [noise] * 2, [1.0, 0.5], variant_offsets(masks, 10.0), True)
    >>> finals.shape  # the unmodulated run, and two variants of each mask
    torch.Size([9, 3, 2, 2])
    """
    rows = offsets.shape[0] + 1
    offsets = torch.cat([torch.zeros_like(offsets[:1]), offsets])  # row 0 is the unmodulated run
    x = sample_level(x0, sigmas[0], noises[0]).expand(rows, -1, -1, -1)
    for step, (sigma, sigma_next) in enumerate(zip(sigmas, [*sigmas[1:], 0.0], strict=True)):
        denoised = denoise(x, sigma, offsets if step == 0 else None)
        if sigma_next == 0:
            return denoised
        x_next = sample_level(x0, sigma_next, noises[step + 1])
        if deterministic:
            x = deterministic_step(x, denoised, x_next, sigma, sigma_next)
        else:
            z = noise_map(x[:1], denoised[:1], x_next, sigma, sigma_next)
            x = posterior_step(x, denoised, sigma, sigma_next, z)
    raise ValueError("modulated denoising needs at least one timestep")


def in_chunks(offsets: torch.Tensor, size: int, together: int = 1) -> Iterator[torch.Tensor]:
    """Variants in nearly equal chunks of at most `size`, in whole groups of `together`, at least one group."""
    groups = offsets.unflatten(0, (-1, together))
    count = -(-len(groups) // max(1, size // together))
    for chunk in groups.tensor_split(count):
        yield chunk.flatten(0, 1)
