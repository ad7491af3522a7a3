"""Matchings, concepts, scores and ways to read pictures, against other libraries, brute force and figures by hand."""

import itertools

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.grid import Grid
from scipy.spatial.distance import cdist
from sklearn.metrics import confusion_matrix, jaccard_score
from torchvision.transforms.functional import center_crop

from protocols import hungarian, modified, scores, ways
from protocols.hungarian import Tally
from protocols.rows import Method as Segmenter
from protocols.rows import counts_of, embeddings_of, measured


def random_maps(seed, classes=4, clusters=6, size=(9, 11)):
    """A label map, every number used, and a truth of which a part is ignored."""
    rng = np.random.default_rng(seed)
    labels = np.unique(rng.integers(0, clusters, size), return_inverse=True)[1].reshape(size)
    return labels, rng.integers(-1, classes, size)


def agreement(counts, clusters):
    """Pixels that agree where class i is given the cluster clusters[i]; none from S on."""
    return sum(counts[i, j] for i, j in enumerate(clusters) if j < counts.shape[1])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("clusters", [2, 4, 6])
def test_a_matching_is_the_best_of_all_there_are(seed, clusters):
    labels, truth = random_maps(seed, 4, clusters)
    counts = hungarian.contingency(labels, truth, 4)
    matched = hungarian.matching(counts)
    every = itertools.permutations(range(max(counts.shape)), 4)
    assert len(set(matched)) == 4
    assert agreement(counts, matched) == max(agreement(counts, each) for each in every)


@pytest.mark.parametrize("seed", range(5))
def test_counts_and_tallies_are_those_of_scikit_learn(seed):
    labels, truth = random_maps(seed, 5, 5)
    counts = hungarian.contingency(labels, truth, 5)
    known = truth >= 0
    assert np.array_equal(counts, confusion_matrix(truth[known], labels[known], labels=range(5)))
    matched = hungarian.matching(counts)
    tally = hungarian.tallied(counts, matched)
    renamed = np.argsort(matched)[labels[known]]
    expected = jaccard_score(truth[known], renamed, labels=range(5), average=None)
    assert scores.ious(tally) == pytest.approx(expected)
    assert scores.accuracy(tally) == pytest.approx((renamed == truth[known]).mean())


def tally_of(counts):
    return hungarian.picture_by_picture([np.array(counts)])


def test_clusters_beyond_the_number_of_classes_cost_only_what_is_missed():
    tally = scores.summed(tally_of([[5, 3, 2], [1, 0, 4]]))
    assert (tally.hits.tolist(), tally.extra.tolist(), tally.missed.tolist()) == ([5, 4], [1, 2], [5, 1])
    assert scores.mean_iou(tally) == pytest.approx((5 / 11 + 4 / 7) / 2)
    assert scores.accuracy(tally) == 9 / 15


def test_a_matching_for_each_picture_forgives_what_one_for_all_does_not():
    """The same two clusters mean the opposite in the second picture: 1 by pictures, 2 / 4 pixels once for all."""
    counts = [np.array([[2, 0], [0, 2]]), np.array([[0, 1], [1, 0]])]
    apart = scores.summed(hungarian.picture_by_picture(counts))
    once = scores.summed(hungarian.all_at_once(counts, [np.array([0, 1])] * 2, 2))
    assert scores.mean_iou(apart) == 1
    assert scores.mean_iou(once) == 2 / 4 and scores.accuracy(once) == 4 / 6


def test_ignored_pixels_count_for_nothing():
    labels, truth = np.array([[0, 0, 1, 2]]), np.array([[0, -1, 1, -1]])
    assert hungarian.contingency(labels, truth, 2).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_cluster_that_the_foreground_wants_stays_out_of_the_background():
    counts = np.array([[1, 5, 0, 0], [9, 0, 2, 4]])  # the class's is the second cluster; the others are merged
    merged = hungarian.with_background_by_truth(counts, 1)
    assert merged.tolist() == [[0, 5, 0, 0, 1], [0, 0, 0, 0, 15]]
    assert scores.ious(scores.summed(tally_of(merged))).tolist() == [5 / 6, 15 / 16]


def test_a_few_clusters_for_many_classes_are_merged_too():
    merged = hungarian.with_background_by_truth(np.array([[3], [0], [0], [7]]), 3)
    assert merged.sum(1).tolist() == [3, 0, 0, 7]


# --- embeddings ---


def random_pictures(seed, pictures=3, classes=4, clusters=5, channels=3):
    """Counts and embeddings of some pictures, and every pixel's class and embedding."""
    rng = np.random.default_rng(seed)
    counts = [rng.integers(0, 6, (classes, clusters)) for _ in range(pictures)]
    embeddings = [rng.normal(size=(clusters, channels)).astype(np.float32) for _ in range(pictures)]
    pixels = [
        (picture, i, j)
        for picture, each in enumerate(counts)
        for (i, j), number in np.ndenumerate(each)
        for _ in range(number)
    ]
    truth = np.array([i for _, i, _ in pixels])
    seen = np.array([embeddings[picture][j] for picture, _, j in pixels])
    return counts, embeddings, truth, seen


@pytest.mark.parametrize("nearest", modified.NEAREST)
@pytest.mark.parametrize("seed", range(3))
def test_concepts_are_those_of_all_pixels_one_by_one(seed, nearest):
    counts, embeddings, truth, seen = random_pictures(seed)
    found = modified.concepts(counts, embeddings)
    expected = np.stack([seen[truth == i].mean(0) for i in range(4)])
    assert found == pytest.approx(expected, abs=1e-6)
    guess = cdist(seen, expected, nearest).argmin(1)
    tally = scores.summed(modified.by_concepts(counts, embeddings, nearest))
    assert scores.ious(tally) == pytest.approx(jaccard_score(truth, guess, labels=range(4), average=None))


def test_shared_clusters_find_what_is_alike_in_all_pictures():
    """Segments come in another order in every picture; the clusters of their embeddings put that right."""
    rng = np.random.default_rng(0)
    centres, counts, embeddings = rng.normal(size=(3, 8)), [], []
    for order in itertools.permutations(range(3)):
        counts.append(np.diag([4, 5, 6])[:, order])
        embeddings.append(centres[list(order)] + 0.01 * rng.normal(size=(3, 8)))
    for nearest in modified.NEAREST:
        clusters = modified.shared_clusters(counts, embeddings, 3, nearest)
        assert scores.mean_iou(scores.summed(hungarian.all_at_once(counts, clusters, 3))) == 1
    raw = hungarian.all_at_once(counts, [np.arange(3)] * 6, 3)
    assert scores.mean_iou(scores.summed(raw)) < 0.5


def test_fewer_kinds_of_segments_than_clusters_are_no_error():
    clusters = modified.shared_clusters([np.eye(2, dtype=int)], [np.array([[0.0], [1.0]])], 5)
    assert sorted(clusters[0]) == [0, 1]


# --- scores and rows ---


def test_errors_are_by_leaving_one_picture_out():
    rng = np.random.default_rng(1)
    tally = Tally(*(rng.integers(1, 50, (6, 3)) for _ in range(3)))
    value, error = scores.with_error(scores.mean_iou, tally)
    left_out = [scores.mean_iou(Tally(*(np.delete(each, n, 0).sum(0) for each in tally))) for n in range(6)]
    assert value == pytest.approx(scores.mean_iou(scores.summed(tally)))
    assert error == pytest.approx(np.sqrt(5 / 6 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)))
    assert np.isnan(scores.with_error(scores.mean_iou, Tally(*(each[:1] for each in tally)))[1])


def test_a_row_gives_back_what_it_was_made_of():
    labels, truth = random_maps(3, 4, 5, (12, 8))
    picture = np.random.default_rng(0).random((12, 8, 3), np.float32)
    grid = Grid((12, 8), (12, 8), (12, 8))  # a cell a pixel
    row = measured(Segmenter(lambda _: labels, lambda seen: (torch.from_numpy(seen), grid)), picture, truth, 4)
    assert np.array_equal(counts_of(row, 4), hungarian.contingency(labels, truth, 4))
    means = [picture[labels == number].mean(0) for number in range(5)]
    assert embeddings_of(row) == pytest.approx(np.stack(means), abs=1e-3)
    assert "embeddings" not in measured(Segmenter(lambda _: labels), picture, truth, 4)


def test_labels_are_looked_up_at_the_pixels_of_a_smaller_truth():
    labels, truth = np.arange(16).reshape(4, 4), np.zeros((2, 2), int)
    row = measured(Segmenter(lambda _: labels), np.zeros((4, 4, 3)), truth, 1)
    assert [segment for _, segment, _ in row["counts"]] == [5, 7, 13, 15]


# --- how pictures are read ---


@pytest.mark.parametrize("size", [(6, 9), (9, 6), (8, 11), (7, 7), (4, 8), (5, 12)])
def test_diffcut_crops_as_torchvision_does_and_diffseg_up_and_left(size):
    numbers = np.arange(np.prod(size)).reshape(size)
    side = min(size)
    assert np.array_equal(numbers[ways.middle(size, 1)], center_crop(torch.from_numpy(numbers), [side - 1] * 2).numpy())
    rows, columns = ways.middle(size, 0)
    assert (rows.start, columns.start) == ((size[0] - side) // 2, (size[1] - side) // 2)
    assert numbers[rows, columns].shape == (side, side)


@pytest.mark.parametrize(("old", "new"), [(10, 7), (7, 16), (64, 16), (5, 5)])
def test_labels_are_resized_as_torch_does(old, new):
    labels = np.random.default_rng(old).integers(0, 200, (old, old))
    tensor = torch.from_numpy(labels)[None, None].double()
    exact = torch.nn.functional.interpolate(tensor, (new, new), mode="nearest-exact")[0, 0].numpy()
    first = torch.nn.functional.interpolate(tensor, (new, new), mode="nearest")[0, 0].numpy()
    assert np.array_equal(ways.nearest(labels, (new, new)), exact)
    assert np.array_equal(ways.first_of_blocks(labels, new), first)
