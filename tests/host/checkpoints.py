"""Checkpoints with random weights in the layouts that ComfyUI recognises, made on the fly."""

import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

from random_weights import random_state

SD1_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1, 1, 1, 1],
    "channel_mult": (1, 1, 1, 1),
    "transformer_depth": [1, 1, 1, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
    "use_spatial_transformer": True,
    "legacy": False,
}


def write_sd1_checkpoint(path, seed=0):
    """UNet of SD1.x's form, small, and a tiny autoencoder; the text encoder is left out."""
    unet = UNetModel(**SD1_UNET, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    tensors = {f"model.diffusion_model.{name}": value for name, value in random_state(unet, seed).items()}
    for name, value in random_state(TAESD(), seed + 1).items():
        tensors[f"first_stage_model.{name}"] = value
    save_file(tensors, path)
    return path
