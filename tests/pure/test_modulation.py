"""The modulated denoising loop, with a made-up denoiser in place of the UNet."""

import pytest
import torch
from emerdiff.emerdiff_ops.modulation import PRESETS, in_chunks, modulated_denoising, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import sample_level, timestep_grid

SIGMAS = [0.8, 0.5, 0.2]


def run(offsets, calls=None, gain=0.1, deterministic=False):
    """Denoise variants with D = 0.9 x, plus `gain` times each row's mean offset at the modulated level."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(1, 2, 4, 4, generator=generator)
    noises = [torch.randn(x0.shape, generator=generator) for _ in SIGMAS]

    def denoise(x, sigma, chunk):
        if calls is not None:
            calls.append((x, sigma, chunk))
        push = 0 if chunk is None else gain * chunk.mean(1)[:, None, None, None]
        return 0.9 * x + push

    return modulated_denoising(denoise, x0, noises, SIGMAS, offsets, deterministic), x0, noises


@pytest.mark.parametrize("deterministic", [False, True])
def test_row_zero_follows_the_sampled_levels_and_only_the_first_level_is_modulated(deterministic):
    calls = []
    _, x0, noises = run(torch.ones(3, 16), calls, deterministic=deterministic)
    assert [sigma for _, sigma, _ in calls] == SIGMAS
    for (x, sigma, chunk), eps in zip(calls, noises):
        assert x.shape[0] == 4
        assert torch.allclose(x[:1], sample_level(x0, sigma, eps), atol=1e-5)
        assert (chunk is not None) == (sigma == SIGMAS[0])
    assert torch.equal(calls[0][2][0], torch.zeros(16)), "row 0 is not modulated"


@pytest.mark.parametrize(("deterministic", "power"), [(False, 2), (True, 1)])
def test_variants_part_by_their_offset_and_deterministic_steps_keep_more_of_a_push(deterministic, power):
    offsets = torch.stack([torch.zeros(16), torch.ones(16), -torch.ones(16)])
    base, still, pushed, other = run(offsets, deterministic=deterministic)[0]
    push = 0.1 * (1 - (0.5 / 0.8) ** power)  # what a push of D at 0.8 leaves in x at 0.5
    push *= 0.9 + (0.2 / 0.5) ** power * 0.1
    assert torch.allclose(still, base, atol=1e-5)
    for variant, sign in ((pushed, 1), (other, -1)):
        assert torch.allclose(variant - base, torch.full_like(base, sign * push * 0.9), atol=1e-5)


def test_a_variant_does_not_depend_on_its_neighbours():
    offsets = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    together = run(offsets)[0]
    alone = torch.cat([run(offset[None])[0][1:] for offset in offsets])
    assert torch.allclose(together[1:], alone, atol=1e-6)


def test_offsets_are_minus_and_plus_in_turn():
    masks = torch.eye(4).reshape(2, 2, 4)
    offsets = variant_offsets(masks, 10.0)
    assert offsets.shape == (4, 8)
    assert torch.equal(offsets[::2], -10 * masks.flatten(1)) and torch.equal(offsets[1::2], 10 * masks.flatten(1))


def test_levels_are_the_fifteen_from_281():
    levels = modulation_levels(timestep_grid(50), 281)
    assert levels[0] == 281 and levels[-1] == 1 and len(levels) == 15


def test_fewer_steps_are_spaced_evenly_and_never_more_than_the_grid_has():
    assert modulation_levels(timestep_grid(50), 481, 5) == (481, 381, 281, 201, 101)
    assert modulation_levels(timestep_grid(50), 41, 5) == (41, 21, 1)
    assert modulation_levels(timestep_grid(4), 501, 2) == (501, 251)
    for start in range(1, 982, 20):
        for steps in range(1, 20):
            levels = modulation_levels(timestep_grid(50), start, steps)
            assert levels[0] == start and list(levels) == sorted(set(levels), reverse=True)
            assert len(levels) == min(steps, (start - 1) // 20 + 1)


def test_the_paper_preset_is_the_papers():
    assert PRESETS["paper"] == (281, None, False, "pairs", 0.0, False, True)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_what_there_is(name):
    preset = PRESETS[name]
    assert preset.timestep in timestep_grid(50) and preset.readout in ("pairs", "halfway", "latents")
    assert preset.steps is None or len(modulation_levels(timestep_grid(50), preset.timestep, preset.steps)) > 1


@pytest.mark.parametrize(("count", "size"), [(10, 3), (10, 10), (10, 99), (1, 1), (7, 0)])
def test_chunks_cover_all_in_order_within_their_size(count, size):
    offsets = torch.arange(count)[:, None]
    chunks = list(in_chunks(offsets, size))
    assert torch.equal(torch.cat(chunks), offsets)
    assert max(map(len, chunks)) <= max(size, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
def test_pairs_stay_together(size):
    chunks = list(in_chunks(torch.arange(14)[:, None], size, together=2))
    assert torch.equal(torch.cat(chunks)[:, 0], torch.arange(14))
    assert all(len(chunk) % 2 == 0 and len(chunk) <= max(size, 2) for chunk in chunks)
