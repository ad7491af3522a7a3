"""The masks that a point's cluster grows through as clusters merge, from a part of a thing to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .kmeans import kmeans, one_hot
from .segments.merging import gram_of, merges

Cell = tuple[int, int]  # row, column
CLUSTERS = 20
RESTARTS = 3  # few suffice, because the levels hide which clusters there were


def ancestors(features: torch.Tensor, cells: Sequence[Cell], clusters: int = CLUSTERS) -> Iterator[torch.Tensor]:
    """Masks [h, w] bool of features [h, w, C], the finest first, which holds the clusters that the cells are in.

    Each merge (by `merges` on the grid) that these take part in gives the next mask. The last merge, which gives the
    whole grid, is left out. With fewer distinct features than `clusters` there is one cluster for each.
    """
    points = features.flatten(0, 1).float()
    found = kmeans(points, min(clusters, len(points.unique(dim=0))), torch.Generator().manual_seed(0), RESTARTS)
    labels = found.labels.unflatten(0, features.shape[:2])
    gram, labels = gram_of(features, one_hot(labels[None], len(found.centroids))[0]), labels.cpu()
    owner = torch.arange(len(found.centroids))  # each cluster's number after the merges so far
    chosen = torch.tensor([int(labels[cell]) for cell in cells])
    yield torch.isin(labels, chosen)
    for kept, gone in merges(labels, gram)[:-1]:
        owner[owner == gone] = kept
        own = owner[chosen].unique()
        if kept in own:
            yield torch.isin(owner[labels], own)
