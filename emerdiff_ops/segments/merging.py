"""Merge similar segments by their mask embeddings (paper, section 3: the mean feature inside a mask).

labels [B, H, W], numbers 0..count-1, of one picture or of several with shared numbers; features [B, h, w, C] on the
network's grid; embeddings [count, C]; gram [count, count], their inner products, which are all that merging needs.
"""

from __future__ import annotations

import torch


def mask_embeddings(features: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The mean feature of each segment, cells weighted by the share it covers: [count, C]; 0 for an empty segment.

    pixels [B*h*w, count]: the number of each segment's pixels in each cell of the features' grid.
    """
    return pixels.T @ features.flatten(0, -2).float() / pixels.sum(0).clamp_min(1)[:, None]


def neighbours(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Which segments share a border, by 4 neighbours: [count, count] bool, symmetric, false on the diagonal."""
    touching = torch.zeros(count, count, dtype=torch.bool)
    for one, other in ((labels[..., :-1], labels[..., 1:]), (labels[..., :-1, :], labels[..., 1:, :])):
        border = one != other
        touching[one[border].long(), other[border].long()] = True
    return (touching | touching.T).fill_diagonal_(False)


def gram_of(features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Inner products of the mean features inside masks [K, h, w] of features [h, w, C]: [K, K], on the processor."""
    means = mask_embeddings(features, masks.flatten(1).T.to(features))
    return (means @ means.T).cpu()


def merged_gram(gram: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """gram [M, M] of merged segments, from gram [K, K]; parts [M, K], the weight of each segment in each new one."""
    weights = parts / parts.sum(1, keepdim=True).clamp_min(1e-8)
    return weights @ gram @ weights.T


def merge_segments(labels: torch.Tensor, gram: torch.Tensor, target: int = 1, similarity: float = -1.0) -> torch.Tensor:
    """Merge the two most similar neighbours, repeatedly: labels [B, H, W] int16, renumbered.

    Similarity is the cosine of mean features, whose inner products are gram [count, count]. A merged segment's mean is
    that of its parts, weighted by area. Merging ends at `target` segments, or when no two neighbours are as similar as
    `similarity`. Ties go to the lowest numbers. A merged segment takes the place of its first part, the others keep
    their order, and empty ones are left out.

    >>> labels = torch.tensor([[[0, 1, 2]]], dtype=torch.int16)  # [B, H, W]
    >>> means = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 0.9]])  # [count, C]: the last two are alike
    >>> merge_segments(labels, means @ means.T, target=2)
    tensor([[[0, 1, 1]]], dtype=torch.int16)
    """
    owner = torch.arange(len(gram))
    for kept, gone in merges(labels, gram, target, similarity):
        owner[owner == gone] = kept
    return owner[labels.long()].unique(return_inverse=True)[1].to(torch.int16)


def merges(
    labels: torch.Tensor, gram: torch.Tensor, target: int = 1, similarity: float = -1.0
) -> list[tuple[int, int]]:
    """The tree in which `merge_segments` merges segments: (kept, gone) of each merge, in order.

    A merged segment has the number of its first part.
    """
    count = len(gram)
    areas = torch.bincount(labels.flatten().long(), minlength=count).double()
    touching, products = neighbours(labels, count), gram.double() * areas * areas[:, None]  # of the sums over pixels
    found = []
    for _ in range(int((areas > 0).sum()) - target):
        lengths = products.diagonal().clamp_min(1e-30).sqrt()
        alike = (products / lengths / lengths[:, None]).masked_fill(~touching.triu(), -torch.inf)
        kept, gone = divmod(int(alike.argmax()), count)
        if alike[kept, gone] < similarity or not touching[kept, gone]:
            break
        products[kept] += products[gone]
        products[:, kept] += products[:, gone]
        touching[kept] |= touching[gone]
        touching[:, kept] |= touching[:, gone]
        touching[gone] = touching[:, gone] = touching[kept, kept] = False
        found.append((kept, gone))
    return found
