"""k-means against scikit-learn, against every possible partition, and its conventions."""

import itertools

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.kmeans import _filled, _nearest_centroid, cluster_masks, kmeans
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans as Reference
from sklearn.datasets import make_blobs


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(seed, count=300, dims=8, centers=12, spread=1.0):
    return make_blobs(count, dims, centers=centers, cluster_std=spread, random_state=seed)[0].astype(np.float32)


def inertia(points, labels):
    """In float64 and from the labels alone: the sum of squared distances to the means of their groups."""
    points, labels = np.asarray(points, np.float64), np.asarray(labels)
    return sum(((points[labels == i] - points[labels == i].mean(0)) ** 2).sum() for i in np.unique(labels))


def partition(labels):
    """The clusters as a set of sets: what remains when numbering is ignored."""
    return {frozenset(np.flatnonzero(np.asarray(labels) == i).tolist()) for i in np.unique(labels)}


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("k, spread, restarts", [(12, 1, 10), (30, 6, 10), (5, 1, 60)])
def test_inertia_is_not_worse_than_scikit_learns(k, spread, restarts, offset):
    """By more than 1% on average over six data sets: on hard ones, such as fewer clusters than heaps, luck decides."""
    ratios = []
    for seed in range(6):
        points = blobs(seed, spread=spread) + np.float32(offset)
        expected = Reference(k, n_init=restarts, random_state=seed).fit(points.astype(np.float64)).inertia_
        result = kmeans(torch.from_numpy(points), k, generator(seed), restarts)
        assert result.inertia == pytest.approx(inertia(points, result.labels), rel=1e-3)
        ratios.append(result.inertia / expected)
    assert np.mean(ratios) <= 1.01


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [2, 3])
def test_small_cases_reach_the_best_of_all_partitions(seed, k):
    points = np.random.default_rng(seed).normal(size=(8, 2)).astype(np.float32)
    best = min(inertia(points, labels) for labels in itertools.product(range(k), repeat=8))
    result = kmeans(torch.from_numpy(points), k, generator(seed), restarts=30)
    assert inertia(points, result.labels) == pytest.approx(best, rel=1e-5)


def test_the_result_is_what_its_fields_say():
    points = torch.from_numpy(blobs(7))
    labels, centroids, total = kmeans(points, 9, generator())
    assert labels.dtype == torch.int64 and centroids.dtype == torch.float32
    means = torch.stack([points[labels == i].mean(0) for i in range(9)])
    torch.testing.assert_close(centroids, means, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(torch.cdist(points, centroids).argmin(1), labels)
    assert total == pytest.approx(inertia(points, labels), rel=1e-5)


def test_clusters_are_numbered_by_size_then_by_first_member():
    points = torch.tensor([5.0, 9.0, 0.0, 9.1, 5.1, 0.1, 0.2])[:, None]
    labels = kmeans(points, 3, generator()).labels
    assert labels.tolist() == [1, 2, 0, 2, 1, 0, 0]


@pytest.mark.parametrize("k", [2, 4, 7])
def test_as_many_clusters_as_distinct_points_give_one_each(k):
    distinct = torch.randn(k, 5, generator=generator(k))
    owner = torch.arange(40) % k
    labels, _, total = kmeans(distinct[owner], k, generator(), restarts=2)
    assert partition(labels) == partition(owner)
    assert total == pytest.approx(0, abs=1e-8)


def test_no_cluster_is_ever_empty():
    # points in two tight heaps: most of the seeds fall together and lose all their members
    heaps = torch.cat([torch.zeros(50, 1), torch.full((50, 1), 1000.0)]) + 1e-3 * torch.rand(
        100, 1, generator=generator()
    )
    for seed in range(3):
        counts = torch.bincount(kmeans(heaps, 30, generator(seed), restarts=1).labels, minlength=30)
        assert counts.min() >= 1


@pytest.mark.parametrize(
    ("points", "centroids", "owner", "filled"),
    [
        ([0, 1, 5, 20], [0, 20, 100, 200], [0, 0, 0, 1], [0, 3, 2, 1]),  # 5 is farthest, then 1; 20 is alone
        ([0, 10, 100, 101], [5, 100.5, 500, 600], [0, 0, 1, 1], [2, 0, 3, 1]),  # 10, though farther, is by then alone
    ],
)
def test_empty_clusters_take_the_farthest_points_and_empty_no_other(points, centroids, owner, filled):
    points, centroids = (torch.tensor(each, dtype=torch.float32)[:, None] for each in (points, centroids))
    assert _filled(points, centroids, torch.tensor(owner)).tolist() == filled


def test_ties_go_to_the_lower_centroid():
    assert _nearest_centroid(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [-1.0], [1.0]])).tolist() == [0, 0]


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_well_separated_clusters_are_found_in_any_order_of_points(seed, k):
    rng = np.random.default_rng(seed)
    centers = rng.permutation(10)[:k, None] * 100.0 + np.zeros((k, 3))
    owner = np.concatenate([np.arange(k), rng.integers(0, k, 40)])
    points = torch.from_numpy((centers[owner] + rng.normal(size=(len(owner), 3))).astype(np.float32))
    order = rng.permutation(len(owner))
    assert partition(kmeans(points, k, generator(seed), restarts=3).labels) == partition(owner)
    assert partition(kmeans(points[order], k, generator(seed), restarts=3).labels) == partition(owner[order])


def test_the_generator_alone_decides():
    points = torch.from_numpy(blobs(3, spread=5.0))
    torch.manual_seed(1)
    first, state = kmeans(points, 12, generator(4), restarts=1), torch.get_rng_state()
    torch.manual_seed(2)
    second = kmeans(points, 12, generator(4), restarts=1)
    other = kmeans(points, 12, generator(5), restarts=1)
    assert torch.equal(first.labels, second.labels) and first.inertia == second.inertia
    assert not torch.equal(first.labels, other.labels)
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_half_precision_points_are_clustered_in_float32():
    points = torch.from_numpy(blobs(6)).half()
    half, full = kmeans(points, 12, generator()), kmeans(points.float(), 12, generator())
    assert torch.equal(half.labels, full.labels) and half.centroids.dtype == torch.float32


def test_each_iteration_and_attempt_is_told_and_may_cancel():
    class Cancelled(Exception):
        pass

    calls = []

    def cancel_at_three(ended):
        calls.append(ended)
        if len(calls) == 3:
            raise Cancelled

    points = torch.from_numpy(blobs(2, spread=8.0))
    with pytest.raises(Cancelled):
        kmeans(points, 20, generator(), step=cancel_at_three)
    calls.clear()
    kmeans(points, 20, generator(), restarts=2, iterations=1, step=calls.append)
    assert calls == [0, 1, 0, 1]


def test_it_stops_when_no_label_changes():
    calls: list = []
    kmeans(torch.from_numpy(blobs(2)), 12, generator(), restarts=1, step=calls.append)
    assert 3 <= len(calls) < 100


@pytest.mark.parametrize(
    "points, k, message",
    [
        (torch.rand(4, 2), 0, "at least 1 segment"),
        (torch.rand(4, 2), 5, "5 segments .* 4 feature vectors; lower segments or use a larger resolution"),
        (torch.tensor([[1.0], [2.0], [1.0], [2.0]]), 3, "2 distinct .* lower segments"),
        (torch.zeros(9, 3), 2, "1 distinct"),
        (torch.tensor([[1.0], [float("nan")]]), 1, "NaN or infinite"),
        (torch.tensor([[1.0], [float("inf")]]), 1, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(points, k, message):
    with pytest.raises(ValueError, match=message):
        kmeans(points, k, generator())


def test_masks_are_one_hot_and_say_what_kmeans_says():
    features = torch.randn(2, 6, 5, 4, generator=generator(1))
    masks = cluster_masks(features, 7, seed=3, restarts=2)
    assert masks.shape == (2, 7, 6, 5) and masks.dtype == torch.float32
    assert torch.equal(masks.sum(1), torch.ones(2, 6, 5)) and set(masks.unique().tolist()) == {0.0, 1.0}
    for image, mask in zip(features, masks):
        labels = kmeans(image.reshape(30, 4), 7, generator(3), restarts=2).labels
        assert torch.equal(mask.argmax(0).flatten(), labels)


@given(st.integers(0, 2**32))
def test_an_image_does_not_depend_on_its_neighbours(seed):
    features = torch.randn(3, 4, 4, 3, generator=generator(seed))
    together = cluster_masks(features, 4, seed, restarts=2)
    alone = [cluster_masks(features[i : i + 1], 4, seed, restarts=2) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_shared_clusters_number_the_same_things_alike():
    features = torch.tensor([0.0, 10.0, 20.0])[torch.randint(3, (4, 5, 5, 1), generator=generator(8))]
    labels = cluster_masks(features, 3, seed=0, restarts=3, shared=True).argmax(1)
    values = [features[..., 0][labels == i].unique() for i in range(3)]
    assert all(len(value) == 1 for value in values) and len({float(value) for value in values}) == 3
    with pytest.raises(ValueError, match="distinct"):  # an image of one colour has no three clusters of its own
        cluster_masks(torch.cat([features, torch.zeros(1, 5, 5, 1)]), 3, seed=0)
