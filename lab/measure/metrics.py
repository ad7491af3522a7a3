"""How good a segmentation is when the true regions are known: mIoU, ARI and boundary F."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import adjusted_rand_score


def scores(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of a label map [H, W] against the truth [H, W]; each segment counts to the true region it overlaps most.

    "miou": mean over the true regions; "ari": adjusted Rand index; "f1", "f2": boundary F within 1 and 2 pixels.
    """
    merged = merged_to_truth(np.asarray(labels), np.asarray(truth))
    boundary, true_boundary = boundaries(merged), boundaries(truth)
    return {
        "miou": mean_iou(merged, truth),
        "ari": float(adjusted_rand_score(truth.ravel(), merged.ravel())),
        "f1": boundary_f(boundary, true_boundary, 1),
        "f2": boundary_f(boundary, true_boundary, 2),
    }


def merged_to_truth(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Every segment renamed to the true region it overlaps most (the lowest of equals)."""
    overlap = np.zeros((int(labels.max()) + 1, int(truth.max()) + 1), np.int64)
    np.add.at(overlap, (labels.ravel().astype(int), truth.ravel().astype(int)), 1)
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


def boundary_f(ours: np.ndarray, true: np.ndarray, radius: float) -> float:
    """Harmonic mean of the shares of our boundary near the true one, and of the true one near ours."""
    if not ours.any() or not true.any():
        return float(ours.any() == true.any())
    precision = (distance_transform_edt(~true)[ours] <= radius).mean()
    recall = (distance_transform_edt(~ours)[true] <= radius).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def bilinear_labels(masks: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """The baseline to beat: low-resolution masks [K, h, w] upsampled bilinearly, argmax; labels [H, W]."""
    upsampled = torch.nn.functional.interpolate(torch.as_tensor(masks)[None].float(), size, mode="bilinear")
    return upsampled[0].argmax(0).numpy()
