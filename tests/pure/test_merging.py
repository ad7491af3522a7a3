"""Merging against a plain search over all pairs, and what it must not depend on."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.grid import Grid
from emerdiff.emerdiff_ops.segments.merging import mask_embeddings, merge_segments, neighbours


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mosaic(seed=0, side=24, cells=9) -> torch.Tensor:
    """Segments as the regions nearest to random points."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    points = rng.uniform(0, side, (cells, 2))
    return torch.from_numpy(
        ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    ).short()


def plain_merge(labels: np.ndarray, embeddings: np.ndarray, target: int, similarity: float) -> np.ndarray:
    """The definition: sets of segments, all pairs looked at each time."""
    groups = [{number} for number in np.unique(labels)]
    areas = np.bincount(labels.ravel(), minlength=len(embeddings))

    def embedding(group):
        return sum(areas[number] * embeddings[number] for number in group)

    def touch(one, other):
        a, b = np.isin(labels, list(one)), np.isin(labels, list(other))
        return (
            (a[1:] & b[:-1]).any()
            or (a[:-1] & b[1:]).any()
            or (a[:, 1:] & b[:, :-1]).any()
            or (a[:, :-1] & b[:, 1:]).any()
        )

    while len(groups) > target:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i + 1, len(groups)) if touch(groups[i], groups[j])]
        cosine = lambda i, j: np.dot(*(v / np.linalg.norm(v) for v in (embedding(groups[i]), embedding(groups[j]))))  # noqa: E731
        best = max(pairs, key=lambda pair: cosine(*pair), default=None)
        if best is None or cosine(*best) < similarity:
            break
        groups[best[0]] |= groups.pop(best[1])
    groups.sort(key=min)
    return sum(number * np.isin(labels, list(group)) for number, group in enumerate(groups))


@pytest.mark.parametrize(("target", "similarity"), [(1, 0.5), (4, -1.0), (2, 0.2), (9, -1.0), (1, -1.0)])
def test_it_is_the_definition(target, similarity):
    for seed in range(5):
        labels, embeddings = mosaic(seed), noise(9, 4, seed=seed)
        ours = merge_segments(labels, embeddings @ embeddings.T, target, similarity)
        assert ours.dtype == torch.int16
        assert (ours.numpy() == plain_merge(labels.numpy(), embeddings.numpy(), target, similarity)).all()


def test_embeddings_are_means_over_the_covered_cells():
    features = noise(4, 4, 3)
    labels = torch.zeros(8, 8, dtype=torch.int16)
    labels[:4, :2] = 1  # the two upper cells of the first column
    labels[7, 7] = 2  # a quarter of the last cell
    embeddings = mask_embeddings(features, Grid((4, 4), (8, 8), (8, 8)).of_segments(labels, 4))
    torch.testing.assert_close(embeddings[1], features[:2, 0].mean(0))
    torch.testing.assert_close(embeddings[2], features[3, 3])
    rest = torch.ones(4, 4)
    rest[:2, 0], rest[3, 3] = 0, 0.75
    torch.testing.assert_close(embeddings[0], (features * rest[..., None]).sum((0, 1)) / rest.sum())
    assert (embeddings[3] == 0).all()


def test_neighbours_share_a_side():
    labels = torch.tensor([[0, 0, 1], [2, 0, 1], [2, 3, 3]], dtype=torch.int16)
    expected = {(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)}
    assert {tuple(sorted(pair)) for pair in neighbours(labels, 4).nonzero().tolist()} == expected


def test_segments_that_do_not_touch_are_never_joined():
    labels = torch.tensor([[0, 1, 2]], dtype=torch.int16).repeat(3, 1)
    alike = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [1.0, 0.0]])  # the outer two are the same, the middle parts them
    assert torch.equal(merge_segments(labels, alike @ alike.T, 1, 0.9), labels)
