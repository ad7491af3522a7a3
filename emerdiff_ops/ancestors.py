"""The masks that a point's cluster grows through as clusters merge, from a part of a thing to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .kmeans import one_hot
from .segments.merging import gram_of, merges

Cell = tuple[int, int]  # row, column


def merges_of(features: torch.Tensor, labels: torch.Tensor) -> list[tuple[int, int]]:
    """The merges, in order, of clusters `labels` [h, w] on the processor, by their features [h, w, C]."""
    gram = gram_of(features, one_hot(labels[None], int(labels.max()) + 1)[0])
    return merges(labels, gram)


def ancestors(labels: torch.Tensor, tree: Sequence[tuple[int, int]], cells: Sequence[Cell]) -> Iterator[torch.Tensor]:
    """Masks [h, w] bool, the finest first, which holds the clusters that the cells are in.

    labels [h, w] are the clusters, on the processor. Each merge of the tree that the cells' clusters take part in gives
    the next mask. The last one, which gives the whole grid, is left out.
    """
    labels = labels.long()
    owner = torch.arange(int(labels.max()) + 1)  # each cluster's number after the merges so far
    chosen = torch.tensor([int(labels[cell]) for cell in cells])
    yield torch.isin(labels, chosen)
    for kept, gone in tree[:-1]:
        owner[owner == gone] = kept
        own = owner[chosen].unique()
        if kept in own:
            yield torch.isin(owner[labels], own)
