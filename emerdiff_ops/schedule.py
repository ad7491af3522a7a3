"""Timesteps, noise and the posterior step: edit-friendly DDPM inversion in sigma space.

Huberman-Spiegelglas et al. 2023, as the EmerDiff paper (sec. 3) uses it. A latent at noise level s is
x = x0 + s * eps; D is the model's denoised prediction at x. Latents are [B, C, h, w].
"""

from __future__ import annotations

from collections.abc import Collection

import torch

TRAINING_STEPS = 1000


def timestep_grid(steps: int) -> tuple[int, ...]:
    """`steps` timesteps in descending order, ending at 1: 981, 961, ..., 21, 1 for the paper's 50.

    The spacing is the whole number 1000 // steps. Raises ValueError outside 1..1000.

    >>> timestep_grid(5)
    (801, 601, 401, 201, 1)
    """
    if not 1 <= steps <= TRAINING_STEPS:
        raise ValueError(f"steps must be between 1 and {TRAINING_STEPS}, not {steps}; the paper uses 50")
    spacing = TRAINING_STEPS // steps
    return tuple(range(1 + spacing * (steps - 1), 0, -spacing))


def nearest_timestep(timestep: float, grid: tuple[int, ...]) -> int:
    """The grid's timestep closest to the one asked for (the lower of two equally close)."""
    return min(grid, key=lambda t: (abs(t - timestep), t))


def noise_for(shape: torch.Size, seed: int, grid: tuple[int, ...], wanted: Collection[int]) -> dict[int, torch.Tensor]:
    """The noise eps_t of the `wanted` levels, drawn independently in the grid's order from one CPU generator.

    `shape` is that of the whole image batch in the model's latent space. The levels before the last wanted one are
    drawn too, one at a time, so that eps_t depends on the seed, the shape and the grid alone.
    """
    generator, noise = torch.Generator("cpu").manual_seed(seed), {}
    for timestep in grid:
        drawn = torch.randn(shape, generator=generator)
        if timestep in wanted:
            noise[timestep] = drawn
    return noise


def sample_level(x0: torch.Tensor, sigma: float, noise: torch.Tensor) -> torch.Tensor:
    """x_t = x0 + sigma_t * eps_t, each level with its own noise (not a Markov chain)."""
    return x0 + sigma * noise


def posterior_mean(x: torch.Tensor, denoised: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
    """D + (s'^2 / s^2) * (x - D): where the DDPM step from s to s' lands before its noise is added."""
    return denoised + (sigma_next**2 / sigma**2) * (x - denoised)


def posterior_std(sigma: float, sigma_next: float) -> float:
    """s' * sqrt(1 - s'^2 / s^2): the scale of the noise that the step adds; 0 for the last step."""
    return sigma_next * (1 - sigma_next**2 / sigma**2) ** 0.5


def noise_map(
    x: torch.Tensor, denoised: torch.Tensor, x_next: torch.Tensor, sigma: float, sigma_next: float
) -> torch.Tensor:
    """z, the noise that makes the step from `x` land on `x_next`; zero for the last step, s' = 0."""
    if sigma_next == 0:
        return torch.zeros_like(x)
    return (x_next - posterior_mean(x, denoised, sigma, sigma_next)) / posterior_std(sigma, sigma_next)


def posterior_step(
    x: torch.Tensor, denoised: torch.Tensor, sigma: float, sigma_next: float, z: torch.Tensor
) -> torch.Tensor:
    """One DDPM step from s to s' < s with the noise map z; for s' = 0 it is the denoised prediction."""
    return posterior_mean(x, denoised, sigma, sigma_next) + posterior_std(sigma, sigma_next) * z


def deterministic_step(
    x: torch.Tensor, denoised: torch.Tensor, x_next: torch.Tensor, sigma: float, sigma_next: float
) -> torch.Tensor:
    """A DDIM step of all rows, D + (s'/s) * (x - D), with one shift that makes row 0 land on the sampled `x_next`.

    A row's difference from row 0 is scaled by s'/s. The posterior step scales it by s'^2/s^2, which keeps too little
    of it with few steps. For s' = 0 there is no `x_next`: use the denoised prediction.
    """
    mean = denoised + (sigma_next / sigma) * (x - denoised)
    return mean + (x_next - mean[:1])
