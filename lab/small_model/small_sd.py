"""The small Stable Diffusion as the host's own objects: SD1.x in every respect that EmerDiff touches, but smaller.

A UNet of SD1.x's layout that predicts the noise, on the four channels of a learned /8 autoencoder (autoencoder.py),
told what is there in the scenes' words and in COCO's. For pictures of 256 px and more. Needs ComfyUI on `sys.path`.
"""

from pathlib import Path

import comfy.latent_formats
import comfy.model_base
import comfy.model_patcher
import comfy.ops
import comfy.supported_models_base
import torch

from .autoencoder import CHANNELS, load_vae
from .host_objects import Loaders, model_patcher, with_groups_of
from .words import SMALL_SD, WordList

WEIGHTS = Path(__file__).parent / "small_sd.safetensors"
SIZE = 256  # pixels of the pictures it was trained on
SCALE_FACTOR = 1.0  # brings the latents to a standard deviation of one, as SD's 0.18215 does
STRENGTH = 300.0  # lambda, of the preset paper; a hundred times what the pushed layer puts out
CONTEXT_WIDTH = 64
CHANNELS_A_GROUP = 8  # SD1.x has ten and more
TOKENS = 12  # words in a prompt, padded

UNET_CONFIG = {
    "image_size": 32,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "model_channels": 32,
    "channel_mult": (1, 2, 4, 4),
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_spatial_transformer": True,
    "context_dim": CONTEXT_WIDTH,
    "num_heads": -1,
    "num_head_channels": 32,
    "legacy": False,
}


class Latents(comfy.latent_formats.LatentFormat):
    latent_channels = CHANNELS
    scale_factor = SCALE_FACTOR


class SmallSD(comfy.supported_models_base.BASE):
    unet_extra_config: dict[str, object] = {}
    latent_format = Latents


def load_model(dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS) -> comfy.model_patcher.ModelPatcher:
    """MODEL: the trained UNet in the host's ModelPatcher; the host's own sampling for models that predict the noise."""
    loaded = model_patcher(SmallSD, UNET_CONFIG, dtype, weights)
    with_groups_of(CHANNELS_A_GROUP, loaded.model.diffusion_model)
    return loaded


def load_clip() -> WordList:
    return WordList(SMALL_SD, TOKENS, WEIGHTS)


def load(dtype: torch.dtype = torch.float32) -> Loaders:
    """(MODEL, VAE, CONDITIONING), the latter of the empty prompt. The autoencoder stays in fp32."""
    return load_model(dtype), load_vae(), load_clip().conditioning("")
