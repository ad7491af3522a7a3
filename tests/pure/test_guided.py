"""The guided filter against the formula written out window by window."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.borders import Look, drafted
from emerdiff.emerdiff_ops.grid import Grid
from emerdiff.emerdiff_ops.guided import UPSAMPLING_RADIUS, box_mean, guided_filter, is_larger
from emerdiff.emerdiff_ops.kmeans import one_hot


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


@pytest.mark.parametrize(("radius", "epsilon", "colour"), [(1, 1e-3, 1), (3, 0.1, 1), (2, 1e-4, 1e-4)])
def test_it_is_the_formula(radius, epsilon, colour):
    """Also where colours are nearly grey."""
    maps, picture = random(2, 9, 12), (1 - colour) * random(9, 12, 1, seed=2) + colour * random(9, 12, 3, seed=1)
    ours = guided_filter(maps, picture, radius, epsilon)
    for filtered, values in zip(ours, maps.numpy()):
        np.testing.assert_allclose(filtered, written_out(values, picture.numpy(), radius, epsilon), atol=1e-4)


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


@pytest.mark.parametrize(("size", "radius"), [((40, 300), 70), ((23, 17), 30), ((1, 1), 2), ((1, 9), 4), ((5, 64), 1)])
def test_means_are_those_of_adding_up_every_window(size, radius):
    """Windows larger than the picture too, and pictures of one pixel a side."""
    values = random(2, *size)
    rows, columns = (torch.arange(-radius, side + radius).clamp(0, side - 1) for side in size)
    windows = values.double()[:, rows][..., columns].unfold(1, 2 * radius + 1, 1).unfold(2, 2 * radius + 1, 1)
    torch.testing.assert_close(box_mean(values, radius).double(), windows.mean((-1, -2)), atol=3e-6, rtol=0)


@pytest.mark.parametrize("shape", [(6, 40_000), (40_000, 6)])
def test_means_stay_exact_far_from_where_sums_begin(shape):
    """A sum over the whole picture would have lost five of its seven digits by its end."""
    values = random(1, *shape) + 100
    far = box_mean(values, 2)[..., -9:-4] if shape[1] > 6 else box_mean(values, 2)[..., -9:-4, :]
    end = values[..., -20:] if shape[1] > 6 else values[..., -20:, :]
    near = box_mean(end, 2)[..., -9:-4] if shape[1] > 6 else box_mean(end, 2)[..., -9:-4, :]
    torch.testing.assert_close(far, near, atol=2e-5, rtol=0)


def test_what_lies_far_from_a_map_is_left_out_without_a_difference():
    """A map that is 0 but for a spot, beside the same with a faint point far away, which has all be computed."""
    picture, spot = random(60, 70, 3), torch.zeros(60, 70)
    spot[20:24, 30:33] = random(4, 3, seed=1)
    faint = spot.clone()
    faint[0, 0] = faint[59, 69] = 1e-30
    torch.testing.assert_close(guided_filter(spot[None], picture, 3), guided_filter(faint[None], picture, 3))
    assert guided_filter(spot[None], picture, 3)[0, 35:].abs().max() == 0
    assert (guided_filter(torch.zeros(1, 60, 70), picture, 3) == 0).all()


def test_nan_is_not_lost():
    values = random(1, 12, 12)
    values[0, 5, 5] = torch.nan
    assert guided_filter(values, random(12, 12, 3), 2).isnan().any()


@pytest.mark.parametrize("held", [0, 3, 100])
def test_a_draft_is_the_same_however_many_maps_are_held(held):
    masks = one_hot(torch.arange(48).view(1, 6, 8) % 7, 7)[0]
    look, steps = Look(random(48, 64, 3), Grid((6, 8), (48, 64), (48, 64))), []
    once = list(drafted(look, masks, lambda: None))
    again = list(drafted(look, masks, lambda: steps.append(1), held * once[0].nbytes))
    assert len(once) == 7 and len(steps) == 14 and all(map(torch.equal, once, again))
