"""DiffSeg and DiffCut on made-up attention and features whose right segments are known, and against definitions."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn.functional import interpolate

from reference import diffcut, diffseg


def distributions(count: int, n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, n, generator=torch.Generator().manual_seed(seed)).softmax(1)


# --- DiffSeg ---


def quarters(side: int) -> torch.Tensor:
    """Labels [side, side] of four unequal rectangles."""
    rows, columns = (torch.arange(side) >= share * side for share in (0.6, 0.4))
    return rows[:, None] * 2 + columns


def looking_at_their_own(labels: torch.Tensor, blur: float) -> torch.Tensor:
    """Maps [h, w, h, w] of places that look at their own segment, with random differences."""
    own = (labels[..., None, None] == labels).float()
    noise = torch.rand(own.shape, generator=torch.Generator().manual_seed(0))
    maps = own + 0.02 + blur * noise
    return maps / maps.sum((2, 3), keepdim=True)


def test_divergences_are_those_of_the_definition():
    some, others = distributions(3, 20), distributions(4, 20, seed=1)
    ours = diffseg.divergences(some, others)
    for (row, x), (column, y) in itertools.product(enumerate(some), enumerate(others)):
        assert float(ours[row, column]) == pytest.approx((entropy(x, y) + entropy(y, x)) / 2, abs=1e-5)


def test_maps_of_all_grids_are_enlarged_and_weighed_by_their_sides():
    fine = distributions(16 * 24, 16 * 24).reshape(16, 24, 16, 24)
    coarse = [distributions(8 * 12, 8 * 12, seed).reshape(8, 12, 8, 12) for seed in (1, 2)]
    ours = diffseg.aggregated([coarse[0], fine, coarse[1]])
    assert ours.shape == (16, 24, 16, 24) and torch.allclose(ours.sum((2, 3)), torch.ones(16, 24), atol=1e-5)
    for row, column in ((0, 0), (5, 7), (15, 23)):
        seen = (coarse[0] + coarse[1])[row // 2, column // 2] / 2
        large = interpolate(seen[None, None], (16, 24), mode="bilinear")[0, 0]
        expected = 2 / 3 * fine[row, column] + 1 / 3 * large / large.sum()
        assert torch.allclose(ours[row, column], expected, atol=1e-6)


@pytest.mark.parametrize(("side", "anchors"), [(64, list(range(1, 64, 4))), (32, list(range(0, 32, 2))), (9, None)])
def test_anchors_are_the_published_ones_and_every_cell_where_there_are_few(side, anchors):
    assert list(range(side))[diffseg.at_most(side)] == (anchors or list(range(side)))


@pytest.mark.parametrize("side", [12, 20])
def test_places_that_look_at_the_same_are_one_segment(side):
    labels = quarters(side)
    found = diffseg.proposals(looking_at_their_own(labels, 0.05), 0.5)
    assert found.shape == (4, side, side)
    assert adjusted_rand_score(labels.flatten(), found.argmax(0).flatten()) == 1


def test_what_has_been_matched_counts_again_in_the_next_mean():
    """Three in a row, of which the ends are not near each other."""
    found = torch.tensor([[0.70, 0.30], [0.50, 0.50], [0.30, 0.70]])
    apart = diffseg.divergences(found, found)
    threshold = float(apart[0, 2] + apart[0, 1]) / 2
    assert apart[0, 1] < threshold < apart[0, 2]
    assert torch.allclose(diffseg.merged(found, threshold), torch.tensor([[0.60, 0.40], [0.40, 0.60]]))


# --- DiffCut ---


def blocks(count: int, each: int, between: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An affinity [n, n] with known blocks of unequal sizes, shuffled, and the block of every point."""
    random = np.random.default_rng(seed)
    owner = random.permutation(np.repeat(np.arange(count), each + 2 * np.arange(count)))
    noise = random.random((len(owner), len(owner))) / 10
    weights = np.where(owner[:, None] == owner, 0.8, between) + noise + noise.T
    np.fill_diagonal(weights, 1)
    return weights, owner


def ncut(weights: np.ndarray, side: np.ndarray) -> float:
    cut = weights[np.ix_(side, ~side)].sum()
    return cut / weights[side].sum() + cut / weights[~side].sum()


def test_the_affinity_is_the_cosine_spread_over_0_to_1():
    features = np.random.default_rng(0).standard_normal((30, 5))
    cosine = cosine_similarity(features)
    expected = ((cosine - cosine.min()) / (cosine.max() - cosine.min())) ** 10
    assert np.allclose(diffcut.affinity(torch.from_numpy(features)), expected)


@given(st.integers(2, 12), st.integers(0, 1000))
def test_costs_are_those_of_the_definition(n, seed):
    random = np.random.default_rng(seed)
    half = random.random((n, n))
    sides = random.random((6, n)) < 0.5
    sides[:, 0], sides[:, 1] = True, False
    assert np.allclose(diffcut.ncuts(half + half.T, sides), [ncut(half + half.T, side) for side in sides])


@pytest.mark.parametrize("seed", range(5))
def test_of_two_blocks_the_cheapest_of_all_cuts_is_found(seed):
    weights, owner = blocks(2, 4, 0.1, seed)
    every = [np.array([False, *side]) for side in itertools.product((False, True), repeat=len(owner) - 1)]
    side, cost = diffcut.cheapest_cut(weights)
    assert cost == pytest.approx(min(ncut(weights, each) for each in every if each.any()))
    assert adjusted_rand_score(owner, side) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_it_finds_how_many_blocks_there_are_and_which(count):
    weights, owner = blocks(count, 8, 0.02)
    labels = diffcut.parts(weights)
    assert labels.max() + 1 == count and adjusted_rand_score(owner, labels) == 1


def test_every_place_goes_with_the_part_whose_mean_direction_is_most_like_it():
    """Enlarging what is compared is comparing what was enlarged: the product is linear."""
    generator = torch.Generator().manual_seed(0)
    labels = np.arange(6).reshape(2, 3).repeat(4, 0).repeat(4, 1)  # [8, 12]
    features = torch.eye(7)[torch.from_numpy(labels)] + 0.1 * torch.rand(8, 12, 7, generator=generator)
    found = diffcut.likeness(features, labels.ravel())
    assert found.shape == (6, 8, 12) and np.array_equal(found.argmax(0), labels)
    unit = features / features.norm(dim=-1, keepdim=True)
    means = torch.stack([unit[torch.from_numpy(labels == part)].mean(0) for part in range(6)])
    large = interpolate(unit.movedim(-1, 0)[None], (32, 48), mode="bilinear")[0]
    expected = torch.einsum("c h w, k c -> k h w", large, means)
    assert torch.allclose(interpolate(found[None], (32, 48), mode="bilinear")[0], expected, atol=1e-5)
