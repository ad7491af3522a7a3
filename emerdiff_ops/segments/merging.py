"""Merging segments that are alike, by their mask embeddings (paper, section 3: the mean feature inside a mask).

labels [B, H, W], numbers 0..count-1, of one picture or of several whose numbers mean the same; features [B, h, w, C]
on the network's grid; embeddings [count, C].
"""

from __future__ import annotations

import torch


def mask_embeddings(features: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The mean feature of each segment, cells weighted by the share it covers: [count, C]; 0 of an empty segment.

    pixels [B*h*w, count]: how many of a segment's every cell of the features' grid holds.
    """
    return pixels.T @ features.flatten(0, -2).float() / pixels.sum(0).clamp_min(1)[:, None]


def neighbours(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Which segments share a border, by 4 neighbours: [count, count] bool, symmetric, false on the diagonal."""
    touching = torch.zeros(count, count, dtype=torch.bool)
    for one, other in ((labels[..., :-1], labels[..., 1:]), (labels[..., :-1, :], labels[..., 1:, :])):
        touching[one.long(), other.long()] = True
    return (touching | touching.T).fill_diagonal_(False)


def merge_segments(
    labels: torch.Tensor, embeddings: torch.Tensor, target: int = 1, similarity: float = -1.0
) -> torch.Tensor:
    """Merge the two neighbouring segments that are most alike, again and again: labels [B, H, W] int16, renumbered.

    Alike is the cosine of two embeddings; a merged segment's is the mean of its parts', weighted by area. Ends at
    `target` segments, or when no two neighbours are as alike as `similarity`. Equal cosines: the lowest numbers first.
    Segments keep their order; a merged one stands where its first part stood, and empty ones are left out.
    """
    count = len(embeddings)
    areas = torch.bincount(labels.flatten().long(), minlength=count).float()
    touching, sums = neighbours(labels, count), embeddings.float() * areas[:, None]
    owner = torch.arange(count)
    for _ in range(int((areas > 0).sum()) - target):
        unit = torch.nn.functional.normalize(sums, dim=1)
        alike = (unit @ unit.T).masked_fill(~touching.triu(), -torch.inf)
        kept, gone = divmod(int(alike.argmax()), count)
        if alike[kept, gone] < similarity or not touching[kept, gone]:
            break
        sums[kept] += sums[gone]
        touching[kept] |= touching[gone]
        touching[:, kept] |= touching[:, gone]
        touching[gone] = touching[:, gone] = touching[kept, kept] = False
        owner[owner == gone] = kept
    merged = owner[labels.long()]
    return merged.unique(return_inverse=True)[1].to(torch.int16)
