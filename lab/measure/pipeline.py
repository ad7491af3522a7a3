"""The pack's steps on the small model, as the measurements call them."""

from __future__ import annotations

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host

start_host()
load_pack()

from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.lift import lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import DifferenceMaps, Features, LowResMasks, Source, Trajectory

from small_model.model import load
from small_model.settings import STRENGTH


class Pipeline:
    """The small model in a precision, and the steps that need it."""

    def __init__(self, dtype: torch.dtype):
        self.source = Source(*load(dtype))

    def features(self, image: np.ndarray, seed: int, resolution: int = 0) -> tuple[Features, Trajectory]:
        return extract_features(self.source, torch.from_numpy(image)[None], seed, resolution)

    def maps(self, trajectory: Trajectory, low_res: LowResMasks, preset: str, strength=STRENGTH, timestep=0):
        return modulate_attention(self.source, trajectory, low_res, Push(preset, strength, timestep))

    def lift(self, image: np.ndarray, masks: torch.Tensor, preset: str, seed: int) -> torch.Tensor:
        return lift_mask(self.source, torch.from_numpy(image)[None], masks, Push(preset, STRENGTH), seed)

    def labels(self, maps: DifferenceMaps, normalize: bool) -> np.ndarray:
        return assemble_masks(maps, normalize=normalize).labels[0].numpy()
