"""The masks that a point's cluster grows through as clusters merge, from a part of a thing to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .kmeans import one_hot
from .segments.merging import gram_of, merges

Cell = tuple[int, int]  # row, column


def ancestors(features: torch.Tensor, labels: torch.Tensor, cells: Sequence[Cell]) -> Iterator[torch.Tensor]:
    """Masks [h, w] bool of features [h, w, C], the finest first, which holds the clusters that the cells are in.

    labels [h, w] are the clusters. Each merge (by `merges` on the grid) that the cells' clusters take part in gives the
    next mask. The last merge, which gives the whole grid, is left out.
    """
    count = int(labels.max()) + 1
    gram, labels = gram_of(features, one_hot(labels[None], count)[0]), labels.long().cpu()
    owner = torch.arange(count)  # each cluster's number after the merges so far
    chosen = torch.tensor([int(labels[cell]) for cell in cells])
    yield torch.isin(labels, chosen)
    for kept, gone in merges(labels, gram)[:-1]:
        owner[owner == gone] = kept
        own = owner[chosen].unique()
        if kept in own:
            yield torch.isin(owner[labels], own)
