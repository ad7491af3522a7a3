"""The small trained model as the host's own objects: MODEL, VAE and CONDITIONING.

A UNet of SD1.x's form at a fraction of its size (three cross-attention layers at the coarsest output level
that has any), on a 32 x 32 x 48 latent that is the 128 x 128 image itself, pixel-unshuffled: a lossless VAE.
Needs ComfyUI on `sys.path`; imported only by the measurements, the tests and the development nodes beside it.
"""

from pathlib import Path

import comfy.latent_formats
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from .host_objects import Loaders, model_patcher, wrapped
from .scenes import SIZE
from .words import SMALL_MODEL, WordList

WEIGHTS = Path(__file__).parent / "small_model.safetensors"
PATCH = 4  # pixels on a side that one latent cell holds
TOKENS = 6  # words in a prompt, padded
CONTEXT_WIDTH = 64
# RGB in -1..1 has a standard deviation of about 0.5, and neighbouring pixels repeat each other. Halving it makes
# SD's noise levels destroy about as much of a picture as they do in SD's own, denser latent space.
SCALE_FACTOR = 0.5

UNET_CONFIG = {
    "image_size": 32,
    "in_channels": 3 * PATCH**2,
    "out_channels": 3 * PATCH**2,
    "model_channels": 64,
    "channel_mult": (1, 2, 2),
    "num_res_blocks": [1, 2, 1],
    "transformer_depth": [0, 1, 1, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 1, 1, 1, 0, 0],
    "use_spatial_transformer": True,
    "context_dim": CONTEXT_WIDTH,
    "num_heads": -1,
    "num_head_channels": 32,
    "legacy": False,
}


class UnshuffledPixels(comfy.latent_formats.LatentFormat):
    latent_channels = 3 * PATCH**2
    scale_factor = SCALE_FACTOR
    spacial_downscale_ratio = PATCH


class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
    """SD's noise schedule, for a UNet that predicts the picture itself."""


class SmallModel(comfy.supported_models_base.BASE):
    unet_extra_config: dict[str, object] = {}
    latent_format = UnshuffledPixels
    own_pixels = SIZE

    def inpaint_model(self):
        return False  # the host takes any model with more than four input channels for an inpainting one


def load_model(dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS) -> comfy.model_patcher.ModelPatcher:
    """MODEL: the trained UNet in the host's ModelPatcher."""
    return model_patcher(SmallModel, UNET_CONFIG, dtype, weights, Sampling)


def load_clip() -> WordList:
    return WordList(SMALL_MODEL, TOKENS, WEIGHTS)


def load(dtype: torch.dtype = torch.float32) -> Loaders:
    """(MODEL, VAE, CONDITIONING), the latter of the empty prompt."""
    return load_model(dtype), load_vae(), load_clip().conditioning("")


class UnshuffleAutoencoder(nn.Module):
    """pixel_unshuffle and its inverse, in the shape the host's VAE wrapper calls."""

    def encode(self, pixels):
        return pixel_unshuffle(pixels, PATCH)

    def decode(self, latent, **_):
        return pixel_shuffle(latent, PATCH)


def load_vae() -> comfy.sd.VAE:
    """VAE: the host's wrapper around the lossless pixel unshuffle."""
    return wrapped(UnshuffleAutoencoder(), 3 * PATCH**2, PATCH)
