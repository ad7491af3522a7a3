"""The paper's modified protocol, and clusters that all pictures share: by what a model sees inside every segment.

Mask embeddings [S, C] are mean features (paper, section 3); every pixel has that of its segment. A concept embedding is
the mean over all pixels of a class, by the truth, and a segment is of the class whose concept is nearest. That the
concepts are those of the pictures that are scored, that near is Euclidean, and that the traditional protocol clusters
pixels by the same embeddings is inferred: the paper's text does not say so where it could be read.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.preprocessing import normalize

from protocols.hungarian import Tally, grouped, stacked, tallied

NEAREST = ("euclidean", "cosine")


def concepts(counts: Sequence[np.ndarray], embeddings: Sequence[np.ndarray]) -> np.ndarray:
    """The mean embedding of all pixels of every class [n, C]; NaN where no pixel is of it."""
    sums = sum(each @ own for each, own in zip(counts, embeddings))
    pixels = sum(each.sum(1) for each in counts)
    return np.divide(sums, pixels[:, None], out=np.full(sums.shape, np.nan), where=pixels[:, None] > 0)


def by_concepts(counts: Sequence[np.ndarray], embeddings: Sequence[np.ndarray], nearest: str = NEAREST[0]) -> Tally:
    """Every segment as the class of the nearest concept, among those of classes that occur."""
    found = concepts(counts, embeddings)
    classes = np.flatnonzero(~np.isnan(found[:, 0]))
    chosen = [classes[pairwise_distances_argmin(own, found[classes], metric=nearest)] for own in embeddings]
    return stacked([classified(each, guess) for each, guess in zip(counts, chosen)])


def classified(counts: np.ndarray, guess: np.ndarray) -> Tally:
    """Of counts [n, S], by the class [S] that every segment is said to be of."""
    n = len(counts)
    return tallied(grouped(counts, guess, n), np.arange(n))


def shared_clusters(
    counts: Sequence[np.ndarray], embeddings: Sequence[np.ndarray], number: int, nearest: str = NEAREST[0]
) -> list[np.ndarray]:
    """The cluster [S] of every picture's segments: k-means over the embeddings of all pixels that are not ignored."""
    every, weights = np.concatenate(embeddings), np.concatenate([each.sum(0) for each in counts])
    points = normalize(every) if nearest == "cosine" else every
    number = min(number, len(np.unique(points, axis=0)))
    labels = KMeans(number, n_init=10, random_state=0).fit(points, sample_weight=weights).labels_
    return np.split(labels, np.cumsum([len(each) for each in embeddings])[:-1])
