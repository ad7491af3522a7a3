"""How good a segmentation is when the true regions are known: mIoU, ARI and boundary F."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import adjusted_rand_score

CALLED = {
    "miou": "mIoU", "ari": "ARI", "ari_parts": "ARI, segments as they are", "f1": "boundary F, 1 px",
    "f2": "boundary F, 2 px",
}  # fmt: skip
FIGURES = {name: called for name, called in CALLED.items() if name != "f1"}  # where pictures differ in size


def scores(
    labels: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None, pixel: float = 1.0
) -> dict[str, float]:
    """Of a label map [H, W] against the truth [H, W]; each segment counts to the true region it overlaps most.

    "miou": mean over the true regions; "ari": adjusted Rand index, "ari_parts": of the segments as they are; "f1",
    "f2": boundary F within 1 and 2 times `pixel`. What `known` [H, W] bool leaves out counts for the boundaries alone.
    """
    labels, truth = np.asarray(labels), np.asarray(truth)
    inside = np.ones(truth.shape, bool) if known is None else known
    merged = merged_to_truth(labels, truth, inside)
    strict, loose = boundary_f(boundaries(merged), boundaries(truth), (pixel, 2 * pixel))
    return {
        "miou": mean_iou(merged[inside], truth[inside]),
        "ari": float(adjusted_rand_score(truth[inside], merged[inside])),
        "ari_parts": float(adjusted_rand_score(truth[inside], labels[inside])),
        "f1": strict,
        "f2": loose,
    }


def merged_to_truth(labels: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Every segment renamed to the true region it overlaps most (the lowest of equals), where it is known."""
    overlap = np.zeros((int(labels.max()) + 1, int(truth.max()) + 1), np.int64)
    chosen = ... if known is None else known
    np.add.at(overlap, (labels[chosen].ravel().astype(int), truth[chosen].ravel().astype(int)), 1)
    return overlap.argmax(1)[labels].astype(truth.dtype)


def mean_iou(labels: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([iou(labels == region, truth == region) for region in np.unique(truth)]))


def iou(ours: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union of two masks [H, W] bool; 0 where both are empty."""
    return float((ours & true).sum() / max((ours | true).sum(), 1))


def boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def boundary_f(ours: np.ndarray, true: np.ndarray, radii: Sequence[float]) -> list[float]:
    """Harmonic mean of the shares of our boundary near the true one, and of the true one near ours, for each radius."""
    if not ours.any() or not true.any():
        return [float(ours.any() == true.any())] * len(radii)
    away, missed = distance_transform_edt(~true)[ours], distance_transform_edt(~ours)[true]
    shares = [((away <= radius).mean(), (missed <= radius).mean()) for radius in radii]
    return [float(2 * precision * recall / max(precision + recall, 1e-12)) for precision, recall in shares]


def bilinear_labels(masks: torch.Tensor, size: tuple[int, ...]) -> np.ndarray:
    """The baseline to beat: low-resolution masks [K, h, w] upsampled bilinearly, argmax; labels [H, W]."""
    upsampled = torch.nn.functional.interpolate(torch.as_tensor(masks)[None].float(), size, mode="bilinear")
    return upsampled[0].argmax(0).numpy()


def interior(region: np.ndarray) -> tuple[int, int]:
    """The row and column of a region [H, W] bool that is farthest from its border."""
    depth = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(column)
