"""The plain reference beside the pack's result."""

import torch
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes import host
from emerdiff.nodes.modulate import noise_levels

from plain_reference import difference_maps


def plain(loaded, trajectory, masks, start=21, strength=10.0) -> torch.Tensor:
    """Difference maps [K, H, W] of masks [K, h, w] by the plain procedure; `loaded` is (MODEL, VAE, CONDITIONING)."""
    noise, sigmas = noise_levels(loaded[0], trajectory, start, PRESETS["paper"])
    layer = host.find_layer(loaded[0], "auto", last=True)
    return difference_maps(*loaded, trajectory.latent, noise.unbind(1), sigmas, masks, strength, layer)


def error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference as a share of the largest value."""
    assert reference.max() > 1e-3, "the modulation must do something"
    return ((ours - reference).abs().max() / reference.max()).item()
