"""Checkpoints with random weights in the layouts that ComfyUI recognises, made on the fly.

The layouts are the families' own, block by block, at one width throughout: the host recognises a model by its first
width and its transformers, not by how much wider the coarser levels are.
"""

from functools import cache

import comfy.ops
import comfy.sd
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

from reference import full_size
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

# The transformers of the output blocks are listed from the last block to the first, as the host takes them.
SD1 = {**full_size.UNET, "channel_mult": (1, 1, 1, 1)}
SD2 = {**SD1, "context_dim": 1024, "num_heads": -1, "num_head_channels": 64, "use_linear_in_transformer": True}
SDXL = {
    **COMMON,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": (1, 1, 1),
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "context_dim": 2048,
    "num_heads": -1,
    "num_head_channels": 64,
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": 2816,
}
REFINER = {
    **SDXL,
    "model_channels": 384,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": (1, 1, 1, 1),
    "transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0],
    "transformer_depth_output": [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0],
    "transformer_depth_middle": 4,
    "context_dim": 1280,
    "adm_in_channels": 2560,
}
SSD_1B = {
    **SDXL,
    "transformer_depth": [0, 0, 2, 2, 4, 4],
    "transformer_depth_output": [0, 0, 0, 1, 1, 2, 10, 4, 4],
    "transformer_depth_middle": -1,
}
VEGA = {
    **SSD_1B,
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
}
KOALA_700M = {
    **SDXL,
    "num_res_blocks": [1, 1, 1],
    "transformer_depth": [0, 2, 5],
    "transformer_depth_output": [0, 0, 2, 2, 5, 5],
    "transformer_depth_middle": -2,
}
KOALA_1B = {
    **KOALA_700M,
    "transformer_depth": [0, 2, 6],
    "transformer_depth_output": [0, 0, 2, 2, 6, 6],
    "transformer_depth_middle": 6,
}
POOL = 2**22  # no weight here has more numbers


def write_sd1_checkpoint(path, seed=0):
    """UNet of SD1.x's form, small, and a tiny autoencoder; the text encoder is left out."""
    unet = UNetModel(**SD1_UNET, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    tensors = {f"model.diffusion_model.{name}": value for name, value in random_state(unet, seed).items()}
    save_file({**tensors, **autoencoder(seed + 1)}, path)
    return path


def load(layout: dict, tensors: dict | None = None):
    """(MODEL, VAE) that the host's own loader makes of a checkpoint in memory; `tensors` are added to it."""
    state = {**checkpoint(layout), **(tensors or {})}
    model, _, vae, *_ = comfy.sd.load_state_dict_guess_config(state, output_vae=True, output_clip=False)
    return model, vae


def checkpoint(layout: dict) -> dict:
    """A UNet with random weights and a tiny autoencoder, under the names that checkpoints give them."""
    weights = {f"model.diffusion_model.{name}": value for name, value in quick_weights(layout).items()}
    return {**weights, **autoencoder(1)}


@cache
def autoencoder(seed: int) -> dict:
    return {f"first_stage_model.{name}": value for name, value in random_state(TAESD(), seed).items()}


def quick_weights(layout: dict) -> dict:
    """Weights like random_state's, each a piece of one store of random numbers, as drawing them all takes long."""
    unet = UNetModel(**layout, device="meta", dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    state = {}
    for number, (name, value) in enumerate(unet.state_dict().items()):
        if value.ndim >= 2:
            begin = number * 99_991 % (POOL - value.numel())
            state[name] = pool(value[0].numel())[begin : begin + value.numel()].view(value.shape)
        else:
            state[name] = torch.full(value.shape, float(name.endswith("weight")))
    return state


@cache
def pool(fan_in: int) -> torch.Tensor:
    return torch.randn(POOL, generator=torch.Generator().manual_seed(0)) * fan_in**-0.5
