"""What is kept of one picture: how many pixels of every class lie in every segment, and what the model saw in them.

A row is a line of JSON: "segments", S; "counts", [class, segment, pixels] of every pair that occurs; and where it is
asked for "embeddings", [S, C] in half precision, as text. Every score follows from such rows.
"""

import base64
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.grid import Grid
from emerdiff.emerdiff_ops.segments.merging import mask_embeddings

from measure.log import Row
from protocols.hungarian import contingency
from protocols.ways import nearest


class Method(NamedTuple):
    """A way from a picture [H, W, 3] to its labels [H, W], and to features [h, w, C] with their grid."""

    labels: Callable[[np.ndarray], np.ndarray]
    features: Callable[[np.ndarray], tuple[torch.Tensor, Grid]] | None = None


def measured(method: Method, picture: np.ndarray, truth: np.ndarray, classes: int) -> Row:
    """The row of one picture; its labels are looked up at the pixels of the truth [h, w]."""
    labels = method.labels(picture)
    counts = contingency(nearest(labels, truth.shape), truth, classes)
    pairs = np.column_stack([*counts.nonzero(), counts[counts > 0]])
    row: Row = {"segments": int(labels.max()) + 1, "counts": pairs.tolist()}
    if method.features:
        features, grid = method.features(picture)
        found = mask_embeddings(features, grid.of_segments(torch.from_numpy(labels), row["segments"]))
        row["embeddings"] = base64.b64encode(found.numpy().astype("<f2").tobytes()).decode()
    return row


def counts_of(row: Row, classes: int) -> np.ndarray:
    """[classes, S] int64."""
    counts = np.zeros((classes, row["segments"]), np.int64)
    for number, segment, pixels in row["counts"]:
        counts[number, segment] = pixels
    return counts


def embeddings_of(row: Row) -> np.ndarray:
    """[S, C] float32."""
    return np.frombuffer(base64.b64decode(row["embeddings"]), "<f2").reshape(row["segments"], -1).astype(np.float32)
