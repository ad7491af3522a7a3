"""DiffSeg and DiffCut as methods: (pipeline, picture [H, W, 3]) -> labels [H, W], and their thresholds on each model.

Both were published for Stable Diffusion, whose attention is sharper and whose features differ more: on the small
models the published thresholds leave one or two segments of most pictures. So they have ones there that were chosen on
tuning pictures; what is called published has the published ones everywhere.
"""

from typing import NamedTuple

import numpy as np

from measure.beds import Bed
from measure.pipeline import Pipeline
from reference.diffseg import THRESHOLD
from reference.rivals import PUBLISHED, CutSettings, diffcut_labels, diffseg_labels


class Thresholds(NamedTuple):
    divergence: float  # tau of DiffSeg
    cuts: CutSettings


CHOSEN = {
    "small-model": Thresholds(0.01, CutSettings(20, 0.8, 2)),
    "small-sd": Thresholds(0.035, CutSettings(20, 0.85, 2)),
}


def suited(bed: Bed) -> Thresholds:
    """What was chosen for a small model; the published thresholds for any other."""
    return CHOSEN.get(bed.name, Thresholds(THRESHOLD, PUBLISHED))


def diffseg(pipeline: Pipeline, image: np.ndarray, published: bool = False) -> np.ndarray:
    threshold = THRESHOLD if published else suited(pipeline.bed).divergence
    return diffseg_labels(pipeline.source, image, pipeline.bed.size, threshold)


def diffcut(pipeline: Pipeline, image: np.ndarray, published: bool = False) -> np.ndarray:
    settings = PUBLISHED if published else suited(pipeline.bed).cuts
    return diffcut_labels(pipeline.source, image, pipeline.bed.size, settings)
