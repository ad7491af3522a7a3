"""Normalized cuts: as many parts as there are, the cheapest cut, any number of points."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops import cuts
from emerdiff.emerdiff_ops.cuts import cut_labels, cut_masks
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score


def blobs(count: int, each: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [count * each, 16] around as many directions, far from the origin, and which each belongs to."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(16)[:count] * 4
    owner = torch.arange(count).repeat_interleave(each)[torch.randperm(count * each, generator=generator)]
    return 100 + centres[owner] + spread * torch.randn(len(owner), 16, generator=generator), owner


@pytest.mark.parametrize("count", [2, 3, 5, 8])
@pytest.mark.parametrize("each", [20, 60])
def test_it_finds_how_many_there_are_and_which(count, each):
    points, owner = blobs(count, each, 0.2)
    labels = cut_labels(points, 0.3, 256)
    assert int(labels.max()) + 1 == count
    assert adjusted_rand_score(owner, labels) == 1


def test_a_higher_threshold_makes_more_parts_and_most_bounds_them():
    points, _ = blobs(3, 40, 1.0)
    counts = [int(cut_labels(points, threshold, 256).max()) + 1 for threshold in (0.05, 0.3, 0.6, 0.9, 1.2)]
    assert counts == sorted(counts) and counts[0] < counts[-1]
    assert int(cut_labels(points, 1.9, 7).max()) + 1 == 7


def test_what_is_the_same_everywhere_is_one_segment():
    assert cut_labels(torch.ones(30, 4), 0.5, 256).tolist() == [0] * 30
    assert cut_labels(torch.ones(1, 4), 0.5, 256).tolist() == [0]


def test_numbers_go_by_size_and_nothing_is_random():
    points, _ = blobs(4, 30, 0.8)
    points = points[:100]
    labels = cut_labels(points, 0.4, 256)
    sizes = torch.bincount(labels)
    assert (sizes > 0).all() and sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    assert torch.equal(labels, cut_labels(points, 0.4, 256))


@given(st.integers(2, 12), st.integers(0, 1000))
def test_costs_are_those_of_the_definition(n, seed):
    half = np.random.default_rng(seed).random((n, n))
    affinity = half + half.T
    for place, cost in enumerate(cuts._costs(affinity), 1):
        one, other = np.arange(place), np.arange(place, n)
        cut = affinity[np.ix_(one, other)].sum()
        assert np.isclose(cost, cut / affinity[one].sum() + cut / affinity[other].sum())


@pytest.mark.parametrize("size", [cuts.SMALL - 1, cuts.SMALL + 50])
def test_the_second_eigenvector_is_the_second(size):
    half = np.random.default_rng(size).random((size, size))
    affinity = half + half.T
    degrees = affinity.sum(1)
    matrix = affinity / np.sqrt(degrees) / np.sqrt(degrees)[:, None]
    found = cuts._second_eigenvector(matrix, np.sqrt(degrees))
    expected = np.linalg.eigh(matrix)[1][:, -2]
    assert abs(found @ expected) > 0.999


def test_more_points_than_the_graph_takes_go_with_their_like(monkeypatch):
    points, owner = blobs(5, 100, 0.3)
    monkeypatch.setattr(cuts, "MOST_POINTS", 90)
    labels = cut_labels(points, 0.3, 256)
    assert len(labels) == 500 and adjusted_rand_score(owner, labels) == 1


def test_each_image_has_its_own_number_and_shared_numbers_mean_the_same():
    points = [blobs(count, 16 // count, 0.2, seed=count)[0] for count in (2, 4)]
    features = torch.stack(points).reshape(2, 4, 4, 16)
    masks, counts = cut_masks(features, 0.3, 256)
    assert counts == [2, 4]
    assert masks.shape == (2, max(counts), 4, 4) and (masks.sum(1) == 1).all()
    assert all(
        masks[n, :count].flatten(1).any(1).all() and not masks[n, count:].any() for n, count in enumerate(counts)
    )
    together, same = cut_masks(features, 0.3, 256, shared=True)
    assert len(set(same)) == 1 and together.shape[1] == same[0]
    for k in range(same[0]):  # the same direction wherever the number occurs
        cells = features.flatten(0, 2)[together[:, k].flatten() > 0]
        assert len(cells) and (cells - cells.mean(0)).norm(dim=1).max() < 2


def test_it_can_be_cancelled_and_refuses_what_is_not_finite():
    class Stop(Exception):
        pass

    def stop(found):
        raise Stop

    told: list[int] = []

    points, _ = blobs(2, 20, 0.2)
    with pytest.raises(Stop):
        cut_labels(points, 0.3, 256, stop)
    cut_labels(points, 0.3, 256, told.append)
    assert sum(told) == len(points) and told.count(0) > 1, "every point once, and a chance to cancel before each cut"
    with pytest.raises(ValueError, match="NaN or infinite"):
        cut_labels(points.where(points != points[0, 0], torch.nan), 0.3, 256)
