"""Checkpoints with random weights in the layouts that ComfyUI recognises, made on the fly.

The layouts are the families' own, block by block, at one width throughout: the host recognises a model by its first
width and its transformers, not by how much wider the coarser levels are.
"""

from functools import cache

import comfy.ops
import comfy.sd
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from reference import full_size
from reference.sd1_checkpoint import COMMON, autoencoder

# The transformers of the output blocks are listed from the last block to the first, as the host takes them.
SD1 = {**full_size.UNET, "channel_mult": (1, 1, 1, 1)}
SD2 = {**SD1, "context_dim": 1024, "num_heads": -1, "num_head_channels": 64, "use_linear_in_transformer": True}
SDXL = (
    COMMON
    | {"model_channels": 320, "num_res_blocks": [2, 2, 2], "channel_mult": (1, 1, 1)}
    | {"transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10}
    | {"transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10]}
    | {"num_heads": -1, "num_head_channels": 64, "use_linear_in_transformer": True}
    | {"context_dim": 2048, "num_classes": "sequential", "adm_in_channels": 2816}
)
REFINER = (
    SDXL
    | {"model_channels": 384, "num_res_blocks": [2, 2, 2, 2], "channel_mult": (1, 1, 1, 1)}
    | {"transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0], "transformer_depth_middle": 4}
    | {"transformer_depth_output": [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0]}
    | {"context_dim": 1280, "adm_in_channels": 2560}
)
SSD_1B = (
    SDXL
    | {"transformer_depth": [0, 0, 2, 2, 4, 4], "transformer_depth_middle": -1}
    | {"transformer_depth_output": [0, 0, 0, 1, 1, 2, 10, 4, 4]}
)
VEGA = SSD_1B | {
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
}
KOALA_700M = (
    SDXL
    | {"num_res_blocks": [1, 1, 1], "transformer_depth": [0, 2, 5], "transformer_depth_middle": -2}
    | {"transformer_depth_output": [0, 0, 2, 2, 5, 5]}
)
KOALA_1B = KOALA_700M | {
    "transformer_depth": [0, 2, 6],
    "transformer_depth_output": [0, 0, 2, 2, 6, 6],
    "transformer_depth_middle": 6,
}
POOL = 2**22  # no weight here has more numbers


def load(layout: dict, tensors: dict | None = None):
    """(MODEL, VAE) that the host's own loader makes of a checkpoint in memory; `tensors` are added to it."""
    state = {**checkpoint(layout), **(tensors or {})}
    model, _, vae, *_ = comfy.sd.load_state_dict_guess_config(state, output_vae=True, output_clip=False)
    return model, vae


def checkpoint(layout: dict) -> dict:
    """A UNet with random weights and a tiny autoencoder, under the names that checkpoints give them."""
    weights = {f"model.diffusion_model.{name}": value for name, value in quick_weights(layout).items()}
    return {**weights, **autoencoder(1)}


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
