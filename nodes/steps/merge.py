"""segmentation -> fewer segments: joins neighbours that are alike. From cached features, no UNet evaluation."""

import torch
from torch import Tensor

from ...emerdiff_ops.files.digest import digest
from ...emerdiff_ops.segments.merging import mask_embeddings, merge_segments, merged_gram
from ..host.progress import counted
from .assemble import tree_of
from .belongs import check_features, check_kind
from .values import Features, Merges, Segmentation


def merge_alike(segmentation: Segmentation, features: Features, target=8, similarity=0.0) -> Segmentation:
    """Joins neighbours by the cosine of their mask embeddings; the new numbers start at 0.

    Each picture is merged by itself; all together where a number means the same in all, so that it still does.
    """
    check_kind(segmentation, Segmentation)
    check_kind(features, Features)
    check_features(features, segmentation)
    if target == 0 and similarity == 0:
        raise ValueError("nothing says where to stop: give a target, a similarity, or both")
    together = len(segmentation.labels) if segmentation.numbering else 1
    groups = list(zip(segmentation.labels.split(together), features.features.split(together)))
    merged: list[Tensor] = []
    trees: list[Merges] = []
    for labels, maps in counted(groups, "pictures"):
        pixels = torch.cat([features.grid.of_segments(each, segmentation.count) for each in labels])  # [B*h*w, count]
        embeddings = mask_embeddings(maps, pixels.to(maps.device))
        gram = (embeddings @ embeddings.T).cpu()  # few numbers, one merge after the other
        merged.append(merge_segments(labels, gram, max(1, target), similarity or -1.0))
        gram = merged_gram(gram, parts_of(labels, merged[-1], len(gram)))
        trees += tree_of([*merged[-1]], [gram] * len(labels)) or ()
    left = [int(each.max()) + 1 for each in merged]
    numbering = f"{segmentation.numbering}-{digest(*merged)}" if segmentation.numbering else None
    counts = tuple(left) if segmentation.counts else None
    tree = tuple(trees) if len(trees) == len(segmentation.labels) else None
    return Segmentation(torch.cat(merged), max(left), None, counts, segmentation.pictures, numbering, tree)


def parts_of(before: Tensor, after: Tensor, count: int) -> Tensor:
    """How many pixels of each of `count` old segments each new one has: [M, count]. before, after: labels [B, H, W]."""
    most = int(after.max()) + 1
    both = (after.long() * count + before.long()).flatten()
    return torch.bincount(both, minlength=most * count).view(most, count).float()
