"""The pack's steps on a small model or a checkpoint, as the measurements call them."""

from __future__ import annotations

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host

start_host()
load_pack()

from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.extract import PLAIN, Reading, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import DifferenceMaps, Features, LowResMasks, Trajectory

from measure.beds import SMALL_MODEL, Bed


class Pipeline:
    """A model in a precision, and the steps that need it."""

    def __init__(self, dtype: torch.dtype, bed: Bed = SMALL_MODEL):
        self.bed, self.source = bed, bed.source(dtype)

    def features(
        self, image: np.ndarray, seed: int, resolution: int | None = None, reading: Reading = PLAIN
    ) -> tuple[Features, Trajectory]:
        size = self.bed.size if resolution is None else resolution
        picture = torch.from_numpy(image)[None]
        return extract_features(self.source, picture, seed, size, reading=reading)

    def maps(self, image: np.ndarray, trajectory: Trajectory, low_res: LowResMasks, preset, strength=None, timestep=0):
        push = self.push(preset, strength)._replace(timestep=timestep)
        return modulate_attention(self.source, trajectory, low_res, push, image=torch.from_numpy(image)[None])

    def push(self, preset: str, strength=None) -> Push:
        """By lambda where one is given, and in the paper's way by the bed's own; else as the nodes do unasked."""
        if strength or preset == "paper":
            return Push(preset, strength or self.bed.strength)
        return Push(preset, relative=True)

    def lift(self, image: np.ndarray, masks: torch.Tensor, preset: str, seed: int) -> torch.Tensor:
        picture, push = torch.from_numpy(image)[None], self.push(preset)
        return lift_mask(self.source, picture, masks, push, Known(seed, self.bed.size)).soft

    def labels(self, maps: DifferenceMaps, normalize: bool) -> np.ndarray:
        return assemble_masks(maps, normalize=normalize).labels[0].numpy()
