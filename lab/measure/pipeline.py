"""The pack's steps on a small model or a checkpoint, as the measurements call them."""

from typing import NamedTuple

import numpy as np
import torch
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, ROBUST, Reading, extract_features, reading_of
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import DifferenceMaps, Features, LowResMasks, Segmentation, Trajectory

from measure.beds import SMALL_MODEL, Bed
from reasons import Stop, in_words


class Segmented(NamedTuple):
    """What the steps of EmerDiff Segment Image make of one picture."""

    features: Features
    trajectory: Trajectory
    low_res: LowResMasks
    segmentation: Segmentation

    @property
    def labels(self) -> np.ndarray:
        """[H, W]"""
        return self.segmentation.labels[0].numpy()


class Pipeline:
    """A model in a precision, and the steps that need it."""

    def __init__(self, dtype: torch.dtype, bed: Bed = SMALL_MODEL):
        self.bed = bed
        try:
            self.source = bed.source(dtype)
        except Exception as error:  # the host raises anything for a file of another kind, and memory may not do
            raise Stop(
                f"The model {bed.name} cannot be used ({in_words(error)}): give another --checkpoint."
            ) from error

    def features(
        self, image: np.ndarray, seed: int, resolution: int | None = None, reading: Reading = PLAIN
    ) -> tuple[Features, Trajectory]:
        size = self.bed.size if resolution is None else resolution
        picture = torch.from_numpy(image)[None]
        return extract_features(self.source, picture, seed, size, reading=reading)

    def maps(self, image: np.ndarray, trajectory: Trajectory, low_res: LowResMasks, preset, strength=None):
        push = self.push(preset, strength)
        return modulate_attention(self.source, trajectory, low_res, push, image=torch.from_numpy(image)[None])

    def segmented(self, image: np.ndarray, preset: str, segments: int | None = None, seed: int = 0) -> Segmented:
        """With as many `segments` as suit the model unless told; 0: as normalized cuts find."""
        features, trajectory = self.features(image, seed, reading=reading_of(preset))
        number = self.bed.segments if segments is None else segments
        low_res, picture = cluster_features(features, number), torch.from_numpy(image)[None]
        maps = self.maps(image, trajectory, low_res, preset)
        return Segmented(features, trajectory, low_res, assemble_masks(maps, image=picture))

    def coarse(self, image: np.ndarray) -> LowResMasks:
        """The paper's low-resolution masks: clusters of features read plainly."""
        return cluster_features(self.features(image, 0)[0], self.bed.segments)

    def push(self, preset: str, strength=None) -> Push:
        """By lambda where one is given, and in the paper's way by the bed's own; else as the nodes do unasked."""
        if strength or preset == "paper":
            return Push(preset, strength or self.bed.strength)
        return Push(preset, relative=True)

    def lift(self, image: np.ndarray, masks: torch.Tensor, preset: str, known: Known) -> torch.Tensor:
        return lift_mask(self.source, torch.from_numpy(image)[None], masks, self.push(preset), known).soft

    def known(self, image: np.ndarray, seed: int) -> Known:
        """What EmerDiff Lift Mask reads of a picture, once for all that is lifted there."""
        return Known(seed, self.bed.size, *self.features(image, seed, reading=ROBUST))

    def labels(self, maps: DifferenceMaps, normalize: bool) -> np.ndarray:
        return assemble_masks(maps, normalize=normalize).labels[0].numpy()
