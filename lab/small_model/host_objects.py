"""A trained UNet and an autoencoder as the host's own MODEL and VAE."""

from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models_base
import torch
from safetensors.torch import load_file
from torch import nn

Loaders = tuple[comfy.model_patcher.ModelPatcher, comfy.sd.VAE, list]  # MODEL, VAE, CONDITIONING


def with_groups_of(channels: int, network: nn.Module) -> nn.Module:
    """The network, its group normalisation over so many channels at a time.

    The host has 32 groups whatever the width. In SD that is four channels a group or more; with 32 channels it would
    be one, and every channel's mean, the colour of the picture too, would be lost.
    """
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = module.num_channels // channels
    return network


def model_patcher(
    family: type[comfy.supported_models_base.BASE], unet_config: dict, dtype: torch.dtype, weights: Path, sampling=None
) -> comfy.model_patcher.ModelPatcher:
    """MODEL of the tensors `unet.*` in the weights; `sampling(config)`: instead of the host's own for the noise."""
    config = family({**unet_config, "dtype": dtype})
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "")
    if sampling:
        model.model_sampling = sampling(config)
    state = {key[len("unet.") :]: value for key, value in load_file(weights).items() if key.startswith("unet.")}
    model.diffusion_model.load_state_dict({key: value.to(dtype) for key, value in state.items()})
    management = comfy.model_management
    return comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())


def wrapped(autoencoder: nn.Module, channels: int, cell: int) -> comfy.sd.VAE:
    """An autoencoder of pictures in -1..1 in the host's wrapper; a cell of its latents is `cell` pixels a side."""
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    vae.first_stage_model = autoencoder
    vae.latent_channels = channels
    vae.downscale_ratio = vae.upscale_ratio = cell
    vae.process_input = lambda image: image * 2 - 1
    vae.process_output = _to_unit_range
    management = comfy.model_management
    vae.patcher = comfy.model_patcher.ModelPatcher(vae.first_stage_model, vae.device, management.vae_offload_device())
    return vae


def _to_unit_range(image):
    """In place, because newer hosts ignore the return value."""
    return image.add_(1).div_(2).clamp_(0, 1)
