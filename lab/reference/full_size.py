"""Stable Diffusion 1.5 at its full size with random weights: right for time and memory, not for pictures."""

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL

from reference.random_weights import random_state
from small_model.autoencoder import FORM
from small_model.small_sd import UNET_CONFIG

UNET = {**UNET_CONFIG, "model_channels": 320, "context_dim": 768, "num_heads": 8, "num_head_channels": -1}
AUTOENCODER = {**FORM, "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2}


def load(dtype: torch.dtype) -> tuple[comfy.model_patcher.ModelPatcher, comfy.sd.VAE, list]:
    """(MODEL, VAE, CONDITIONING) through the host's own classes: 0.86 G and 0.08 G parameters."""
    config = comfy.supported_models.SD15({**UNET, "dtype": dtype})
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "")
    model.diffusion_model.load_state_dict(random_state(model.diffusion_model, 0))
    management = comfy.model_management
    patcher = comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())
    autoencoder = AutoencoderKL(ddconfig=AUTOENCODER, embed_dim=4)
    vae = comfy.sd.VAE(sd=random_state(autoencoder, 1), dtype=dtype)
    context = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(0))
    return patcher, vae, [[context, {}]]
