"""Ways from a picture to a label map, by name; `lab/run.py protocol` scores any of them.

A method takes the pipeline and a picture [H, W, 3] float32 in 0..1 and gives labels [H, W], numbers 0..S-1. How many
segments are wanted is the pipeline's: `pipeline.bed.segments`, 0 for the picture's own number. Methods in NO_MODEL need
no more than that.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from emerdiff.emerdiff_ops.grid import Grid
from emerdiff.emerdiff_ops.modulation import PRESETS

from measure.colours import colour_labels
from measure.metrics import bilinear_labels

Method = Callable[[Any, np.ndarray], np.ndarray]
RIVALS = ("diffseg", "diffcut")
CELLS = 128  # on the shorter side, about, where colours are features


def emerdiff(pipeline: Any, image: np.ndarray, preset: str, segments: int | None = None) -> np.ndarray:
    return pipeline.segmented(image, preset, segments).labels


def bilinear(pipeline: Any, image: np.ndarray) -> np.ndarray:
    """The paper's baseline: its coarse masks, enlarged."""
    return bilinear_labels(pipeline.coarse(image).masks[0], image.shape[:2])


def kmeans_colour(pipeline: Any, image: np.ndarray) -> np.ndarray:
    """What a picture gives away without any model."""
    return colour_labels(image, pipeline.bed.segments)


def colours(image: np.ndarray) -> tuple[torch.Tensor, Grid]:
    """Features [h, w, 3] of a picture without any model, every so many-th pixel, and their grid."""
    height, width = image.shape[:2]
    step = max(1, min(height, width) // CELLS)
    features = torch.from_numpy(image[::step, ::step].copy())
    rows, columns = features.shape[:2]
    return features, Grid((rows, columns), (height, width), (step * rows, step * columns))


def queries(pipeline: Any, image: np.ndarray) -> tuple[torch.Tensor, Grid]:
    """Features [h, w, C] as the paper reads them, and their grid."""
    features, _ = pipeline.features(image, 0)
    return features.features[0], features.grid


def rival(pipeline: Any, image: np.ndarray, name: str, published: bool) -> np.ndarray:
    """DiffSeg or DiffCut; their module is imported only then, because ComfyUI comes with it."""
    return getattr(import_module("measure.rival_methods"), name)(pipeline, image, published)


METHODS: dict[str, Method] = {
    **{f"emerdiff {preset}": partial(emerdiff, preset=preset) for preset in PRESETS},
    "emerdiff cuts": partial(emerdiff, preset="draft", segments=0),  # as many as normalized cuts find
    "bilinear": bilinear,
    "kmeans-colour": kmeans_colour,
    **{name: partial(rival, name=name, published=False) for name in RIVALS},
    **{f"{name} published": partial(rival, name=name, published=True) for name in RIVALS},
}
NO_MODEL = {"kmeans-colour"}
