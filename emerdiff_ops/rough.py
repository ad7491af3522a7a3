"""How far the features of each cell are like the inside of a rough mask, rather than like the rest.

The comparison is that of `likeness` for points and boxes; no network runs. Masks are weights in 0..1, [N, h, w].
"""

from __future__ import annotations

import torch

from .kmeans import kmeans
from .likeness import STEEPNESS

CLUSTERS = 8  # of a picture, as in Pick by Points


def likeness_to_masks(features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """How far each cell of `features` [h, w, C] is like the inside of a mask rather than like the rest: [N, h, w].

    1/2 means equal distances to the nearest cluster of each kind. Clusters are those of k-means. A cluster that lies
    mostly in the mask is the mask's own. If none does, it is the one with the largest area there.
    """
    points = features.flatten(0, 1).float()  # [h*w, C]
    found = kmeans(points, min(CLUSTERS, len(points.unique(dim=0))), torch.Generator().manual_seed(0))
    distances = torch.cdist(points, found.centroids).square()  # [h*w, K]
    own = [_own_clusters(found.labels, mask.flatten(), len(found.centroids)) for mask in masks]
    return torch.stack([_contrast(distances, each) for each in own]).unflatten(1, features.shape[:2])


def _own_clusters(labels: torch.Tensor, mask: torch.Tensor, count: int) -> torch.Tensor:
    """Which of `count` clusters are the mask's own, [count] bool; labels and mask [h*w]."""
    areas = torch.bincount(labels, minlength=count)
    inside = torch.zeros(count, device=labels.device).index_add_(0, labels, mask.to(labels.device))
    own = 2 * inside > areas
    most = torch.arange(count, device=labels.device) == inside.argmax()
    return own | (most & ~own.any())


def _contrast(distances: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Likeness in 0..1, [h*w], from squared distances [h*w, K] to clusters; own [K], the mask's own clusters."""
    near, far = (distances.masked_fill(others, torch.inf).amin(1) for others in (~own, own))
    contrast = (STEEPNESS * (far - near) / (far + near).clamp_min(1e-9)).sigmoid()
    return torch.where(own.all(), 0.5, contrast)
