"""Timesteps, noise and the posterior step of the edit-friendly inversion."""

import pytest
import torch
from emerdiff.emerdiff_ops.schedule import (
    deterministic_step,
    nearest_timestep,
    noise_for,
    noise_map,
    posterior_step,
    timestep_grid,
)

SIGMA = 0.7789  # of SD1's schedule, at t = 281


def test_grid_is_the_papers():
    grid = timestep_grid(50)
    assert grid[:2] == (981, 961) and grid[-2:] == (21, 1) and len(grid) == 50
    assert 281 in grid and 481 in grid


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 300, 1000])
def test_grid_descends_to_one_within_the_schedule(steps):
    grid = timestep_grid(steps)
    assert len(grid) == steps and grid[-1] == 1 and grid[0] <= 1000
    assert list(grid) == sorted(set(grid), reverse=True)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_grid_is_refused(steps):
    with pytest.raises(ValueError, match="between 1 and 1000"):
        timestep_grid(steps)


def test_nearest_timestep_snaps_and_takes_the_lower_of_two():
    grid = timestep_grid(50)
    assert [nearest_timestep(t, grid) for t in (281, 289, 292, 291, 0, 999)] == [281, 281, 301, 281, 1, 981]


def test_noise_is_drawn_as_published():
    grid = timestep_grid(50)
    noise = noise_for((2, 4, 8, 8), 11, grid, grid)
    generator = torch.Generator("cpu").manual_seed(11)
    for timestep in range(981, 0, -20):
        assert torch.equal(noise[timestep], torch.randn((2, 4, 8, 8), generator=generator))
    some = noise_for((2, 4, 8, 8), 11, grid, {281, 1})
    assert set(some) == {281, 1} and all(torch.equal(some[timestep], noise[timestep]) for timestep in some)


def test_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    noise_for((1, 4, 8, 8), 1, timestep_grid(50), {1})
    assert torch.equal(before, torch.get_rng_state())


def test_posterior_step_is_the_ancestral_step():
    """With D kept, mean and spread are those of an ancestral Euler step: down = s'^2 / s, up as published.

    That noise maps lead from level to level is asked in test_modulation.py.
    """
    x, denoised, z = torch.randn(3, 1, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    s, following = SIGMA, 0.7247
    up = (following**2 * (s**2 - following**2) / s**2) ** 0.5
    down = (following**2 - up**2) ** 0.5
    assert (up, down) == (pytest.approx(0.2657, abs=2e-3), pytest.approx(0.6742, abs=2e-3))
    ancestral = x + (x - denoised) / s * (down - s) + up * z
    assert torch.allclose(posterior_step(x, denoised, s, following, z), ancestral, atol=1e-5)


def test_last_step_is_the_denoised_prediction():
    x, denoised = torch.randn(2, 1, 4, 2, 2)
    z = noise_map(x, denoised, x, 0.0413, 0.0)
    assert torch.equal(z, torch.zeros_like(x))
    assert torch.equal(posterior_step(x, denoised, 0.0413, 0.0, z), denoised)


def test_deterministic_step_lands_row_zero_and_carries_the_others_as_ddim_does():
    generator = torch.Generator().manual_seed(2)
    x, denoised = torch.randn(2, 3, 4, 2, 2, generator=generator)
    x_next = torch.randn(1, 4, 2, 2, generator=generator)
    after = deterministic_step(x, denoised, x_next, 0.8, 0.2)
    assert torch.allclose(after[:1], x_next, atol=1e-6)
    ddim = x + (x - denoised) / 0.8 * (0.2 - 0.8)  # Euler's step of the probability-flow ODE
    assert torch.allclose(after[1:] - after[:1], ddim[1:] - ddim[:1], atol=1e-6)
