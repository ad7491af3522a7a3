"""The guided filter against the formula written out window by window."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.guided import UPSAMPLING_RADIUS, guided_filter, is_larger


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def written_out(values, picture, radius, epsilon):
    height, width = values.shape
    rows, columns = (np.clip(np.arange(-radius, side + radius), 0, side - 1) for side in (height, width))
    padded, guide = values[rows][:, columns].astype(float), picture[rows][:, columns].astype(float)
    side = 2 * radius + 1
    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            p, colours = padded[y : y + side, x : x + side].ravel(), guide[y : y + side, x : x + side].reshape(-1, 3)
            centred = colours - colours.mean(0)
            spread = centred.T @ centred / len(p) + epsilon * np.eye(3)
            slopes[y, x] = np.linalg.solve(spread, centred.T @ (p - p.mean()) / len(p))
            offsets[y, x] = p.mean() - slopes[y, x] @ colours.mean(0)
    slopes, offsets = slopes[rows][:, columns], offsets[rows][:, columns]
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = slice(y, y + side), slice(x, x + side)
            result[y, x] = slopes[window].mean((0, 1)) @ picture[y, x] + offsets[window].mean()
    return result


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-3), (3, 0.1)])
def test_it_is_the_formula(radius, epsilon):
    maps, picture = random(2, 9, 12), random(9, 12, 3, seed=1)
    ours = guided_filter(maps, picture, radius, epsilon)
    for filtered, values in zip(ours, maps.numpy()):
        np.testing.assert_allclose(filtered, written_out(values, picture.numpy(), radius, epsilon), atol=1e-4)


def test_a_soft_flank_becomes_a_step_where_the_picture_has_one():
    picture = torch.zeros(20, 40, 3)
    picture[:, 20:] = torch.tensor([0.9, 0.2, 0.1])
    ramp = ((torch.arange(40) - 12) / 16).clamp(0, 1).expand(1, 20, 40)  # its middle at the border
    step = guided_filter(ramp, picture, 4)[0]
    assert (ramp[0, 10, 20] - ramp[0, 10, 19]) < 0.07
    assert (step[10, 20] - step[10, 19]) > 0.2
    assert torch.equal(step > 0.5, picture[..., 0] > 0)


def test_on_a_flat_picture_it_is_a_mean_and_keeps_a_constant():
    flat = torch.full((8, 9, 3), 0.4)
    torch.testing.assert_close(guided_filter(torch.full((1, 8, 9), 0.7), flat, 2), torch.full((1, 8, 9), 0.7))
    maps = random(1, 8, 9)
    assert guided_filter(maps, flat, 2).std() < 0.5 * maps.std()


def test_an_enlarged_map_ends_where_the_large_picture_does():
    """A border between two pixels of the small map, at a quarter of one."""
    picture = torch.zeros(80, 160, 3)
    picture[:, 77:] = torch.tensor([0.9, 0.2, 0.1])
    small = ((torch.arange(40) - 15) / 8).clamp(0, 1).expand(1, 20, 40)  # a soft flank around 19
    large = guided_filter(small, picture, UPSAMPLING_RADIUS)[0]
    assert large.shape == (80, 160)
    assert torch.equal(large > 0.5, picture[..., 0] > 0)
    plain = torch.nn.functional.interpolate(small[None], (80, 160), mode="bilinear")[0, 0]
    assert ((plain > 0.5) != (picture[..., 0] > 0)).any()


def test_a_picture_no_larger_both_ways_has_no_borders_to_follow():
    assert is_larger((9, 10), (8, 8))
    assert not any(is_larger(size, (8, 8)) for size in ((8, 8), (8, 6), (9, 8), (8, 16)))
