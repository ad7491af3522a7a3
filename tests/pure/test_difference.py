"""Difference maps against numpy, smoothing against scipy."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.difference import difference_maps, evened, gaussian_smooth, halfway, resize_maps
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_difference_is_the_norm_over_rgb():
    minus, plus = random(3, 5, 4, 3), random(3, 5, 4, 3, seed=1)
    expected = np.sqrt(((minus.numpy() - plus.numpy()) ** 2).sum(-1))
    variants = torch.stack([minus, plus], 1).flatten(0, 1)
    np.testing.assert_allclose(difference_maps(variants), expected, rtol=1e-6)
    assert difference_maps(variants.half()).dtype == torch.float32
    np.testing.assert_allclose(difference_maps(variants.movedim(-1, 1), axis=1), expected, rtol=1e-6)


def test_against_a_picture_the_difference_is_from_the_unmodulated_picture():
    base, plus = random(1, 5, 4, 3), random(3, 5, 4, 3, seed=1)
    expected = np.sqrt(((plus.numpy() - base.numpy()) ** 2).sum(-1))
    np.testing.assert_allclose(difference_maps(plus, base), expected, rtol=1e-6)


def test_halfway_shows_half_the_difference_of_a_pair():
    base, minus, plus = random(1, 2, 4, 4), random(3, 2, 4, 4, seed=1), random(3, 2, 4, 4, seed=2)
    finals = halfway(torch.cat([base, torch.stack([minus, plus], 1).flatten(0, 1)]))
    assert finals.shape == (4, 2, 4, 4) and torch.equal(finals[:1], base)
    torch.testing.assert_close(finals[1:] - base, (plus - minus) / 2)


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_evened_maps_keep_their_form_and_that_share_of_their_loudness(evenness):
    maps = random(3, 8, 9) * torch.tensor([0.01, 1.0, 100.0])[:, None, None]
    even = evened(maps, evenness)
    loudest = [gaussian_smooth(each, 1.0).amax().item() for each in maps]
    for once, now, most in zip(maps, even, loudest):
        torch.testing.assert_close(now, once / most**evenness)
    assert (torch.equal(even, maps)) == (evenness == 0)


def test_a_silent_map_stays_silent_when_evened():
    assert not evened(torch.zeros(1, 4, 4), 1.0).any()


@given(
    st.integers(1, 24), st.integers(1, 24), st.floats(0, 12), st.sampled_from([(), (3,), (2, 3)]), st.integers(0, 99)
)
def test_smoothing_equals_scipys(height, width, sigma, leading, seed):
    """Also where the kernel is longer than the image."""
    maps = random(*leading, height, width, seed=seed)
    expected = ndimage.gaussian_filter(
        maps.numpy(), (0,) * len(leading) + (sigma, sigma), mode="reflect", truncate=4.0, output=np.float32
    )
    np.testing.assert_allclose(gaussian_smooth(maps, sigma), expected, atol=1e-5)


def test_smoothing_leaves_its_input_alone_and_sigma_zero_leaves_all():
    maps = random(2, 9, 9)
    before = maps.clone()
    assert gaussian_smooth(maps, 0) is maps
    assert not torch.equal(gaussian_smooth(maps, 2.0), before)
    assert torch.equal(maps, before)


@pytest.mark.parametrize("size", [(7, 5), (14, 15), (9, 40), (3, 2), (3, 20)])
def test_resizing_keeps_a_constant_and_a_ramp(size):
    """Interior of a linear ramp: bilinear interpolation with aligned pixel centres reproduces it exactly."""
    height, width = 7, 5
    constant, (rows, columns) = torch.full((1, height, width), 0.3), size
    torch.testing.assert_close(resize_maps(constant, size), torch.full((1, *size), 0.3))
    if rows >= height and columns >= width:
        ramp = ((torch.arange(width) + 0.5) / width).expand(1, height, width)
        position = (torch.arange(columns) + 0.5) / columns
        expected = position.clamp(0.5 / width, 1 - 0.5 / width).expand(1, *size)
        torch.testing.assert_close(resize_maps(ramp, size), expected)


def test_shrinking_is_antialiased():
    stripes = torch.isin(torch.arange(64) % 8, torch.tensor([3, 4])).float().expand(1, 64, 64)
    shrunk = resize_maps(stripes, (64, 8))
    assert (shrunk - 0.25).abs().max() < 0.1  # plain bilinear samples all fall between two white pixels and give 1


def test_maps_are_resized_one_by_one_alike():
    maps = random(4, 6, 6)
    together = resize_maps(maps, (17, 11))
    assert torch.equal(together, torch.cat([resize_maps(one[None], (17, 11)) for one in maps]))
    assert torch.equal(resize_maps(maps, (6, 6)), maps)
