"""segmentation -> fewer segments: neighbours that are alike are joined. From cached features, no UNet evaluation."""

import torch

from ...emerdiff_ops.segments.merging import mask_embeddings, merge_segments
from ..host.progress import counted
from .checks import check_features, check_kind
from .values import Features, Segmentation


def merge_alike(segmentation: Segmentation, features: Features, target=8, similarity=0.0) -> Segmentation:
    """Neighbours joined by the cosine of their mask embeddings, each picture by itself, numbers from 0 on."""
    check_kind(segmentation, Segmentation)
    check_kind(features, Features)
    check_features(features, segmentation)
    if target == 0 and similarity == 0:
        raise ValueError("nothing says where to stop: give a target, a similarity, or both")
    labels = []
    for values, map_ in counted(list(zip(segmentation.labels, features.features)), "pictures"):
        pixels = features.grid.of_segments(values, segmentation.count)
        embeddings = mask_embeddings(map_, pixels.to(map_.device)).cpu()  # few numbers, one merge after the other
        labels.append(merge_segments(values, embeddings, max(1, target), similarity or -1.0))
    left = [int(each.max()) + 1 for each in labels]
    return Segmentation(torch.stack(labels), max(left), counts=tuple(left) if segmentation.counts else None)
