"""k-means over feature vectors: the low-resolution masks of EmerDiff (paper, section 3).

points [N, C] -> labels [N] and centroids [k, C]; features [B, h, w, C] -> one-hot masks [B, K, h, w].
Seeding: greedy k-means++ (Arthur and Vassilvitskii 2007); then Lloyd's iterations; the best of several restarts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange


class KMeans(NamedTuple):
    labels: torch.Tensor  # [N] int64, 0..k-1, every number used
    centroids: torch.Tensor  # [k, C] float32, the mean of each cluster
    inertia: float  # sum over the points of the squared distance to their centroid


def kmeans(
    points: torch.Tensor,
    k: int,
    generator: torch.Generator,
    restarts: int = 10,
    iterations: int = 100,
    step: Callable[[int], None] | None = None,
) -> KMeans:
    """Split `points` [N, C] into k clusters: the result with the least inertia of `restarts` attempts.

    Clusters are numbered by size, largest first, ties by their first member. `step` is called with the number of
    attempts that ended since the last call: 0 after an iteration, 1 at the end of an attempt. It may raise to cancel.

    Convention:
        Stops when no label changes, or after `iterations`; ties go to the lower centroid and the earlier restart.
        An emptied cluster takes the point farthest from its centroid, so no cluster is ever empty.
        Computed in float32 on the device of `points`. Points are centred first: a far-off origin costs no accuracy.
        All randomness comes from `generator` (a CPU one); nothing global is read or seeded.

    Raises ValueError when k is below 1 or above the number of (distinct) points, or when a point is not finite.
    """
    _require_clusterable(points, k)
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    origin = points.mean(0)
    centred = (points - origin).float()  # [N, C]
    _require_distinct(centred, k)
    runs = (_lloyd(centred, _seeds(centred, k, generator), iterations, step) for _ in range(restarts))
    best = min(runs, key=lambda run: run.inertia)
    order = largest_first(best.labels)  # [k], order[new] = old
    return KMeans(order.argsort()[best.labels], (best.centroids[order] + origin).float(), best.inertia)


def cluster_masks(
    features: torch.Tensor,
    k: int,
    seed: int,
    restarts: int = 10,
    shared: bool = False,
    step: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Cluster `features` [B, h, w, C] into k binary masks per image (paper, section 3): [B, k, h, w] float32, one-hot.

    Each image is clustered alone, from its own generator, so it does not depend on the rest of the batch.
    `shared` clusters the points of all images together: segment i then means the same thing in every image.
    Raises ValueError as `kmeans` does.

    >>> features = torch.zeros(1, 2, 3, 4)  # [B, h, w, C]
    >>> features[:, :, 2] = 1.0  # the right column differs
    >>> masks = cluster_masks(features, k=2, seed=0)
    >>> masks.shape
    torch.Size([1, 2, 2, 3])
    >>> masks[0, 1].tolist()  # the largest first, so this is the column
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """
    groups = rearrange(features, "b h w c -> 1 (b h w) c" if shared else "b h w c -> b (h w) c")
    results = [kmeans(group, k, torch.Generator().manual_seed(seed), restarts, step=step) for group in groups]
    labels = torch.stack([result.labels for result in results]).reshape(features.shape[:3])  # [B, h, w]
    return one_hot(labels, k)


def clustered(features: torch.Tensor, k: int, restarts: int = 10) -> torch.Tensor:
    """The cluster of each cell of one image's `features` [h, w, C]: [h, w] int64.

    With fewer distinct features than `k` there is one cluster for each.
    """
    points = features.flatten(0, 1).float()
    distinct = len(points.unique(dim=0))
    return kmeans(points, min(k, distinct), torch.Generator().manual_seed(0), restarts).labels.view(features.shape[:2])


def reference_masks(
    features: torch.Tensor,
    reference: torch.Tensor,
    k: int,
    seed: int,
    restarts: int = 10,
    step: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Assign `features` [B, h, w, C] to clusters of `reference` [R, h', w', C]: [B, k, h, w] float32, one-hot.

    The points of all images of the reference are clustered together, and each of `features` goes to the nearest
    centroid. Segment i means the same thing in every image, whatever its batch, and may be empty. For the reference
    itself the masks equal those of `cluster_masks` with `shared`. Raises ValueError as `kmeans` does.
    """
    found = kmeans(reference.flatten(0, 2), k, torch.Generator().manual_seed(seed), restarts, step=step)
    return one_hot(nearest(features, found.centroids), k)


def nearest(features: torch.Tensor, examples: torch.Tensor) -> torch.Tensor:
    """The index of the nearest of `examples` [k, C] for each of `features` [B, h, w, C]: [B, h, w] int64.

    Ties go to the lowest index. Images are processed one at a time. Raises ValueError when a feature is not finite.
    """
    require_finite(features)
    origin = examples.mean(0)  # subtracted, so that a far-off origin costs no accuracy
    centred = examples - origin
    images = [_nearest_centroid((image.flatten(0, 1) - origin).float(), centred) for image in features]
    return torch.stack(images).reshape(features.shape[:3])


def one_hot(labels: torch.Tensor, k: int) -> torch.Tensor:
    """labels [B, h, w] -> masks [B, k, h, w] float32, 0 or 1."""
    numbers = torch.arange(k, device=labels.device)[:, None, None]
    return (labels[:, None] == numbers).float()


def _require_clusterable(points: torch.Tensor, k: int) -> None:
    if k < 1:
        raise ValueError(f"at least 1 segment is needed, not {k}")
    if k > len(points):
        raise ValueError(
            f"{k} segments cannot be made of {len(points)} feature vectors; lower segments or use a larger resolution"
        )
    require_finite(points)


def require_finite(points: torch.Tensor) -> None:
    if not points.isfinite().all():
        raise ValueError(
            "the features hold NaN or infinite values; use an image without them, or run the model in bf16 or fp32"
        )


def _require_distinct(points: torch.Tensor, k: int) -> None:
    distinct = len(points.unique(dim=0))
    if distinct < k:
        raise ValueError(
            f"{k} segments cannot be made of {distinct} distinct feature vectors; "
            "lower segments or use an image with more in it"
        )


def _seeds(points: torch.Tensor, k: int, generator: torch.Generator) -> torch.Tensor:
    """Greedy k-means++: draw a few points by squared distance, and keep the one that lowers the inertia most."""
    trials = 2 + int(math.log(k))
    chosen = torch.randint(len(points), (1,), generator=generator).tolist()
    nearest = _squared_distances(points, points[chosen])[0]  # [N]
    while len(chosen) < k:
        drawn = _draw(nearest, trials, generator)
        shrunk = torch.minimum(nearest, _squared_distances(points, points[drawn]))  # [trials, N]
        winner = int(shrunk.sum(1).argmin())
        nearest = shrunk[winner]
        chosen.append(drawn[winner])
    return points[chosen]  # [k, C]


def _draw(weights: torch.Tensor, count: int, generator: torch.Generator) -> list[int]:
    """Indices drawn with probability proportional to `weights` [N]; the last index if all are zero."""
    cumulative = weights.to(_finest(weights.device)).cumsum(0)
    targets = torch.rand(count, generator=generator, dtype=torch.float64).to(cumulative) * cumulative[-1]
    return torch.searchsorted(cumulative, targets, right=True).clamp(max=len(weights) - 1).tolist()


def _finest(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device without it."""
    try:
        return torch.zeros((), dtype=torch.float64, device=device).dtype
    except (TypeError, RuntimeError):
        return torch.float32


def _lloyd(
    points: torch.Tensor, centroids: torch.Tensor, iterations: int, step: Callable[[int], None] | None
) -> KMeans:
    labels = torch.full((len(points),), -1, device=points.device)  # in no cluster yet
    for _ in range(iterations):
        if step is not None:
            step(0)
        previous, labels = labels, _filled(points, centroids, _nearest_centroid(points, centroids))
        if torch.equal(labels, previous):
            break
        centroids = _means(points, labels, len(centroids))
    if step is not None:
        step(1)
    return KMeans(labels, centroids, _spread(points, centroids, labels).sum().item())


def _nearest_centroid(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    # |x - c|^2 without its |x|^2, which is the same for every centroid
    return torch.addmm(centroids.square().sum(1), points, centroids.T, alpha=-2).argmin(1)  # [N]


def _squared_distances(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    squares = points.square().sum(1) + centres.square().sum(1)[:, None]  # [M, N]
    return torch.addmm(squares, centres, points.T, alpha=-2).clamp(min=0)


def _spread(points: torch.Tensor, centroids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (points - centroids[labels]).square().sum(1)  # [N], by difference: exact where the matmul form cancels


def _means(points: torch.Tensor, labels: torch.Tensor, k: int) -> torch.Tensor:
    # a product with one-hot rows: unlike scatter-add it sums in the same order every time, on a GPU too
    members = torch.nn.functional.one_hot(labels, k).T.float()  # [k, N]
    return members @ points / members.sum(1, keepdim=True)  # [k, C]


def _filled(points: torch.Tensor, centroids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    counts = torch.bincount(labels, minlength=len(centroids))
    if counts.all():
        return labels
    spread, labels = _spread(points, centroids, labels), labels.clone()
    for empty in (counts == 0).nonzero().flatten().tolist():
        point = spread.masked_fill(counts[labels] == 1, -1).argmax()  # a cluster's only point stays
        counts[labels[point]] -= 1
        counts[empty] = 1
        labels[point] = empty
    return labels


def largest_first(labels: torch.Tensor) -> torch.Tensor:
    """The numbers in `labels` [N], most frequent first, ties by their first occurrence: [k]."""
    counts = torch.bincount(labels)
    places = torch.arange(len(labels), device=labels.device)
    first = torch.full_like(counts, len(labels)).scatter_reduce(0, labels, places, "amin")
    met = first.argsort()
    return met[counts[met].argsort(descending=True, stable=True)][: (counts > 0).sum()]
