"""A checkpoint of SD1.x's form with random weights, small: what the host takes for SD1.5 and loads as such."""

from functools import cache
from pathlib import Path

import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

from reference.random_weights import random_state

COMMON = {"image_size": 32, "in_channels": 4, "out_channels": 4, "use_spatial_transformer": True, "legacy": False}
SD1_UNET = {
    **COMMON,
    "model_channels": 320,
    "num_res_blocks": [1, 1, 1, 1],
    "channel_mult": (1, 1, 1, 1),
    "transformer_depth": [1, 1, 1, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
}


def write_sd1_checkpoint(path: Path, seed: int = 0) -> Path:
    """UNet of SD1.x's form, small, and a tiny autoencoder; the text encoder is left out."""
    unet = UNetModel(**SD1_UNET, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    tensors = {f"model.diffusion_model.{name}": value for name, value in random_state(unet, seed).items()}
    save_file({**tensors, **autoencoder(seed + 1)}, path)
    return path


@cache
def autoencoder(seed: int) -> dict:
    return {f"first_stage_model.{name}": value for name, value in random_state(TAESD(), seed).items()}
