"""What a point's cluster merges into, step by step, until it is all: from a part of a thing to the whole of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .kmeans import kmeans, one_hot
from .segments.merging import gram_of, merges

Cell = tuple[int, int]  # row, column
CLUSTERS = 20
RESTARTS = 3  # as the levels hide which clusters there were, few suffice


def ancestors(features: torch.Tensor, cells: Sequence[Cell], clusters: int = CLUSTERS) -> Iterator[torch.Tensor]:
    """Masks [h, w] bool of features [h, w, C], the finest first: the clusters that the cells are in, and what these are
    part of after each merge that they take part in, by `merges` on the grid; the last one, everything, is left out.

    With fewer distinct features than `clusters` there are as many clusters.
    """
    points = features.flatten(0, 1).float()
    found = kmeans(points, min(clusters, len(points.unique(dim=0))), torch.Generator().manual_seed(0), RESTARTS)
    labels = found.labels.unflatten(0, features.shape[:2])
    gram, labels = gram_of(features, one_hot(labels[None], len(found.centroids))[0]), labels.cpu()
    owner = torch.arange(len(found.centroids))  # of each cluster, by what number it goes after the merges so far
    chosen = torch.tensor([int(labels[cell]) for cell in cells])
    yield torch.isin(labels, chosen)
    for kept, gone in merges(labels, gram)[:-1]:
        owner[owner == gone] = kept
        own = owner[chosen].unique()
        if kept in own:
            yield torch.isin(owner[labels], own)
