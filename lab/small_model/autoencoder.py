"""The small Stable Diffusion's autoencoder: the host's own AutoencoderKL, /8, four channels, a nonlinear decoder."""

from pathlib import Path

import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from safetensors.torch import load_file

from .host_objects import with_groups_of, wrapped

WEIGHTS = Path(__file__).parent / "small_sd_autoencoder.safetensors"
CELL = 8  # pixels on a side of one cell of the latent
CHANNELS = 4
FORM = {
    "double_z": True,
    "z_channels": CHANNELS,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 2, 4],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def make_autoencoder() -> AutoencoderKL:
    """SD's autoencoder at a quarter of its channels and half of its blocks, weights not set."""
    return with_groups_of(4, AutoencoderKL(ddconfig=FORM, embed_dim=CHANNELS))


def load_vae(dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS) -> comfy.sd.VAE:
    """VAE: the trained autoencoder in the host's own wrapper."""
    autoencoder = make_autoencoder().eval().to(dtype)
    autoencoder.load_state_dict({key: value.to(dtype) for key, value in load_file(weights).items()})
    vae = wrapped(autoencoder, CHANNELS, CELL)
    vae.vae_dtype = dtype
    return vae
