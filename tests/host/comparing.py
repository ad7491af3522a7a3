"""Pictures, values prepared for the step that a test is about, the plain procedure beside the pack's result."""

from typing import NamedTuple

import torch
from emerdiff.nodes.host import network, unet
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.values import Features, LowResMasks, Trajectory

from reference.plain_procedure import difference_maps
from small_model.scenes import HELD_OUT, SIZE, scene


def smooth_picture(height: int, width: int, channels: int = 3, count: int = 1) -> torch.Tensor:
    """Random pictures [count, height, width, channels]."""
    noise = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1).movedim(1, -1)


def scene_picture(number: int = 0, size: int = SIZE) -> torch.Tensor:
    """A held-out scene [1, size, size, 3]."""
    return torch.from_numpy(scene(HELD_OUT + number, size).image)[None]


class NoHooks:
    """Of an evaluation that has none."""

    def install(self, options):
        pass


class Prepared(NamedTuple):
    features: Features
    trajectory: Trajectory
    low_res: LowResMasks


def prepare(source, image, segments, **reading) -> Prepared:
    """What modulation starts from; `reading` as in extract_features."""
    features, trajectory = extract_features(source, image, **reading)
    return Prepared(features, trajectory, cluster_features(features, segments))


def plain(source, trajectory, masks, start=21, strength=10.0, layer=None) -> torch.Tensor:
    """Difference maps [K, H, W] of masks [K, h, w] by the plain procedure: on the paper's schedule, its own noise."""
    generator = torch.Generator("cpu").manual_seed(trajectory.seed)
    noise = {t: torch.randn(trajectory.latent.shape, generator=generator) for t in range(981, 0, -20)}
    levels = [t for t in noise if t <= start]
    sigmas = [network.sigma_of(source.model, t) for t in levels]
    layer = layer or unet.find_layer(source.model, "auto", last=True)
    noises = [noise[t] for t in levels]
    return difference_maps(*source, trajectory.latent, noises, sigmas, masks, strength, layer)


def error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference as a share of the largest value."""
    assert reference.max() > 1e-3, "the modulation must do something"
    return ((ours - reference).abs().max() / reference.max()).item()
