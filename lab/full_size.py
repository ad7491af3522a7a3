"""Stable Diffusion 1.5 at its full size with random weights: right for time and memory, not for pictures."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": (1, 2, 4, 4),
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "legacy": False,
}
AUTOENCODER = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def load(dtype: torch.dtype):
    """(MODEL, VAE, CONDITIONING) through the host's own classes: 0.86 G and 0.08 G parameters."""
    config = comfy.supported_models.SD15({**UNET, "dtype": dtype})
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "")
    randomise(model.diffusion_model)
    management = comfy.model_management
    patcher = comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())
    autoencoder = AutoencoderKL(ddconfig=AUTOENCODER, embed_dim=4)
    randomise(autoencoder)
    vae = comfy.sd.VAE(sd=autoencoder.state_dict(), dtype=dtype)
    context = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(0))
    return patcher, vae, [[context, {}]]


@torch.no_grad()
def randomise(module) -> None:
    """Weights that keep activations near unit size."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter[0].numel() ** -0.5)
        else:
            parameter.fill_(float(name.endswith("weight")))
