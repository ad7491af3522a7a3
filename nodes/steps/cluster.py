"""features -> low-resolution masks: k-means on the UNet's grid, or normalized cuts where no number is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from ...emerdiff_ops.cuts import cut_masks, points_of_graph, reference_cut_masks
from ...emerdiff_ops.kmeans import cluster_masks, reference_masks
from ...emerdiff_ops.segments.merging import gram_of
from ..host.progress import Progress
from .belongs import check_kind, check_reference
from .values import Features, LowResMasks

GRANULARITY = 0.3  # cuts go on while one costs less than this Ncut, 0..2
MOST_SEGMENTS = 256  # of a picture


def cluster_features(
    features: Features,
    segments=20,
    seed=0,
    shared_clusters=False,
    restarts=10,
    granularity=GRANULARITY,
    reference: Features | None = None,
) -> LowResMasks:
    """K binary masks per image on the feature grid (paper, sec. 3); with 0 segments, `granularity` decides K.

    `reference` holds features of other pictures, whose clusters are then used for every picture.
    """
    check_kind(features, Features)
    if reference is not None:
        found = cluster_as(reference, features, segments, seed, restarts, granularity)
    elif segments == 0:
        found = cut_features(features, granularity, shared_clusters)
    else:
        found = cluster_means(features, segments, seed, shared_clusters, restarts)
    gram = torch.stack([gram_of(*each) for each in zip(features.features, found.masks)])  # [B, K, K]
    return found._replace(pictures=features.pictures, gram=gram)


def cluster_means(features: Features, segments: int, seed: int, shared_clusters: bool, restarts: int) -> LowResMasks:
    """k-means of each image, or of all of them together."""
    step = steps_of("attempts", restarts * (1 if shared_clusters else len(features.features)))
    masks = cluster_masks(features.features, segments, seed, restarts, shared=shared_clusters, step=step)
    numbering = numbering_of(features, segments, seed, restarts) if shared_clusters else None
    return LowResMasks(masks, features.latent_size, numbering=numbering)


def numbering_of(clustered: Features, *how: float) -> str:
    """A text that is equal for all pictures with the clusters of these features. The features stay on their device."""
    mean = float(clustered.features.double().mean())
    return "-".join(map(str, (clustered.pictures, *clustered.features.shape, mean, *how)))


def steps_of(what: str, amount: int) -> Callable[[int], None]:
    """A function that counts work of this amount in the progress bar, and reacts to Cancel."""
    progress = Progress(what)
    progress.expect(what, amount, 1.0)
    return partial(progress.step, what)


def cut_features(features: Features, granularity: float, shared: bool) -> LowResMasks:
    """As many masks as normalized cuts find in each image, or in all of them together."""
    groups, points = (1 if shared else len(features.features)), features.features[..., 0].numel()
    step = steps_of("cells", groups * points_of_graph(points // groups))
    masks, counts = cut_masks(features.features, granularity, MOST_SEGMENTS, shared, step)
    own, numbering = (None, numbering_of(features, granularity)) if shared else (tuple(counts), None)
    return LowResMasks(masks, features.latent_size, own, numbering=numbering)


def cluster_as(reference: Features, features: Features, segments, seed, restarts, granularity) -> LowResMasks:
    """Finds a reference's clusters, or cuts, in other pictures: a number means the same thing in all of them."""
    check_reference(features, reference)
    both = features.features, reference.features.to(features.features.device)  # it may come from a file
    if segments == 0:
        step = steps_of("cells", points_of_graph(both[1][..., 0].numel()))
        masks = reference_cut_masks(*both, granularity, MOST_SEGMENTS, step)
    else:
        masks = reference_masks(*both, segments, seed, restarts, steps_of("attempts", restarts))
    how: tuple[float, ...] = (granularity,) if segments == 0 else (segments, seed, restarts)
    return LowResMasks(masks, features.latent_size, numbering=numbering_of(reference, *how))
