"""Modulated denoising (paper, sec. 3): lift coarse masks to pixels by pushing the UNet along each of them.

For mask M and c = +-lambda, c * M is added to one cross-attention layer's output at timestep t_m; the latent is
then denoised to 0 unmodulated, along the noise maps of the unmodulated run. That run is row 0 of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .schedule import noise_map, posterior_step, sample_level

# denoise(x [rows, C, h, w], sigma, offsets [rows, h*w] or None) -> denoised prediction [rows, C, h, w]
Denoise = Callable[[torch.Tensor, float, torch.Tensor | None], torch.Tensor]


def modulation_levels(grid: tuple[int, ...], start: int) -> tuple[int, ...]:
    """The timesteps from the modulated one down: 281, 261, ..., 21, 1 (15 of them) in the paper."""
    return tuple(timestep for timestep in grid if timestep <= start)


def signed_offsets(masks: torch.Tensor, strength: float) -> torch.Tensor:
    """c * M of every variant, [K, h, w] -> [2K, h*w]: all of c = -lambda, then all of c = +lambda."""
    flat = masks.flatten(1)  # [K, h*w]
    return torch.cat([-strength * flat, strength * flat])


def modulated_denoising(
    denoise: Denoise, x0: torch.Tensor, noises: list[torch.Tensor], sigmas: list[float], offsets: torch.Tensor
) -> torch.Tensor:
    """Denoise one variant per offset from sigmas[0] to 0 and return their final latents.

    x0 [1, C, h, w]; noises, the sampled eps [1, C, h, w] of each level; sigmas, descending, same length;
    offsets [variants, h*w]. Returns [variants, C, h, w].
    """
    rows = offsets.shape[0] + 1
    offsets = torch.cat([torch.zeros_like(offsets[:1]), offsets])  # row 0 is the unmodulated run
    x = sample_level(x0, sigmas[0], noises[0]).expand(rows, -1, -1, -1)
    for step, (sigma, sigma_next) in enumerate(zip(sigmas, [*sigmas[1:], 0.0], strict=True)):
        denoised = denoise(x, sigma, offsets if step == 0 else None)
        if sigma_next == 0:
            return denoised[1:]
        x_next = sample_level(x0, sigma_next, noises[step + 1])
        z = noise_map(x[:1], denoised[:1], x_next, sigma, sigma_next)
        x = posterior_step(x, denoised, sigma, sigma_next, z)
    raise ValueError("modulated denoising needs at least one timestep")


def in_chunks(offsets: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Variants in nearly equal chunks of at most `size`."""
    count = -(-offsets.shape[0] // max(1, size))
    yield from offsets.tensor_split(count)
