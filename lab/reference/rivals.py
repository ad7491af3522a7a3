"""DiffSeg and DiffCut on a model in the host: what they read of its UNet, and from a picture to its label map.

Their equations are in diffseg.py and diffcut.py. The network runs as the pack runs it, in a session, with hooks that
last one evaluation.
"""

from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.emerdiff_ops.segments.labels import assign
from emerdiff.nodes.host import network, unet
from emerdiff.nodes.host.hooks import Captured, SelfAttention
from emerdiff.nodes.host.latents import own_resolution, pixels_per_cell
from emerdiff.nodes.host.places import Layer, layer_of
from emerdiff.nodes.host.session import attend, capture_once
from emerdiff.nodes.steps.extract import latents_of
from emerdiff.nodes.steps.values import Source, size_of
from torch import Tensor
from torch.nn.functional import interpolate

from reference import diffcut, diffseg

DIFFSEG_TIMESTEP, DIFFCUT_TIMESTEP = 300, 50  # published
NOISE_SEED = 42  # of DiffCut's one draw, the same for all pictures


class CutSettings(NamedTuple):
    """How DiffCut looks and cuts; its defaults are the published ones."""

    power: float = diffcut.POWER  # alpha
    threshold: float = diffcut.THRESHOLD  # tau
    scale: float = 2.0  # of the side that the model was made for, at which the picture is seen


PUBLISHED = CutSettings()


class Seen(NamedTuple):
    """A picture as a model sees it."""

    latent: Tensor  # [1, c, h', w'] as the VAE gives it
    covered: tuple[float, float]  # pixels of the picture that the latent stands for, its padding included
    size: tuple[int, int]  # of the picture


# --- what is read of the network ---


class AttentionOutput:
    """Keeps what one layer's self-attention puts out, behind its projection, [h, w, C] float32, and stops there."""

    def __init__(self, layer: Layer):
        self.layer = layer
        self.features: Tensor

    def install(self, transformer_options: dict) -> None:
        transformer_options.setdefault("patches", {}).setdefault("attn1_output_patch", []).append(self.output)

    def output(self, n: Tensor, options: dict) -> Tensor:
        if layer_of(options) != self.layer:
            return n
        self.features = n[0].float().cpu().unflatten(0, tuple(options["activations_shape"][-2:]))
        raise Captured


def attention_maps(source: Source, latent: Tensor, timestep: int = DIFFSEG_TIMESTEP) -> list[Tensor]:
    """The mean over heads [h, w, h, w] of every self-attention beside a cross-attention, of a latent without noise.

    The host divides what it is given by sqrt(sigma^2 + 1): so the latent goes in multiplied by it.
    """
    layers, sigma = list(unet.cross_attention_layers(source.model)), network.sigma_of(source.model, timestep)
    hook = SelfAttention(layers, 1, attend)
    capture_once(source.model, source.conditioning, latent * (sigma**2 + 1) ** 0.5, sigma, hook)
    grids = [unet.grid_of(source.model, layer, size_of(latent)) for layer in layers]
    return [hook.maps[layer].cpu().unflatten(1, grid).unflatten(0, grid) for layer, grid in zip(layers, grids)]


def encoder_output(source: Source, latent: Tensor, timestep: int = DIFFCUT_TIMESTEP) -> Tensor:
    """Of the last transformer of the UNet's encoder, [h, w, C], from the latent with one draw of noise."""
    encoder = [layer for layer in unet.cross_attention_layers(source.model) if layer.block == "input"]
    hook, sigma = AttentionOutput(encoder[-1]), network.sigma_of(source.model, timestep)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    capture_once(source.model, source.conditioning, latent, sigma, hook, noise)
    return hook.features


# --- from a picture to a label map [H, W] ---


def diffseg_labels(source: Source, image: np.ndarray, side: int, threshold: float = diffseg.THRESHOLD) -> np.ndarray:
    """DiffSeg of a picture [H, W, 3] seen at so many pixels on its shorter side; 0: those that the model is for."""
    seen = see(source, image, side)
    return labelled(diffseg.proposals(diffseg.aggregated(attention_maps(source, seen.latent)), threshold), seen)


def diffcut_labels(source: Source, image: np.ndarray, side: int, settings: CutSettings = PUBLISHED) -> np.ndarray:
    """DiffCut of a picture [H, W, 3]; `side` as above, before the settings' scale."""
    seen = see(source, image, side, settings.scale)
    return labelled(cut(encoder_output(source, seen.latent), settings), seen)


def cut(features: Tensor, settings: CutSettings) -> Tensor:
    """Maps [K, h, w] of which the largest decides, from features [h, w, C]."""
    labels = diffcut.parts(diffcut.affinity(features.flatten(0, 1), settings.power), settings.threshold)
    return diffcut.likeness(features, labels)


def see(source: Source, image: np.ndarray, side: int, scale: float = 1.0) -> Seen:
    """A picture [H, W, 3] resized bilinearly, also where it becomes larger, and encoded; `scale` is of the `side`."""
    height, width = image.shape[:2]
    share = scale * (side or own_resolution(source.model, source.vae)) / min(height, width)
    pixels = torch.from_numpy(image).movedim(-1, 0)[None]
    size = round(share * height), round(share * width)
    pixels = interpolate(pixels, size, mode="bilinear", antialias=True)
    latent = latents_of(source.model, source.vae, pixels)
    covered = [pixels_per_cell(source.vae) * cells for cells in size_of(latent)]
    return Seen(latent, (covered[0] * height / size[0], covered[1] * width / size[1]), (height, width))


def labelled(maps: Tensor, seen: Seen) -> np.ndarray:
    """The largest of maps [K, h, w], enlarged bilinearly, at every pixel; numbers without gaps."""
    height, width = seen.size
    covered = round(seen.covered[0]), round(seen.covered[1])
    large = (resize_maps(one[None], covered)[0, :height, :width] for one in maps)
    return assign(large, seen.size).unique(return_inverse=True)[1].cpu().numpy()
