"""features -> low-resolution masks: k-means on the UNet's grid."""

from ...emerdiff_ops.kmeans import cluster_masks
from ..host.progress import throw_if_cancelled
from .checks import check_kind
from .values import Features, LowResMasks


def cluster_features(features: Features, segments=20, seed=0, shared_clusters=False, restarts=10) -> LowResMasks:
    """K binary masks per image on the feature grid (paper, sec. 3)."""
    check_kind(features, Features)
    masks = cluster_masks(features.features, segments, seed, restarts, shared=shared_clusters, check=throw_if_cancelled)
    return LowResMasks(masks, features.latent_size)
