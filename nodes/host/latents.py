"""Pictures to latents and back by the VAE, and tensors to the device where the host wants MASK and IMAGE."""

from __future__ import annotations

import math

import comfy.model_management
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from . import network

AUTOENCODER_PARAMETERS = 83.7e6  # of Stable Diffusion's
ENLARGED = 4.0  # times a picture's width, unless more is asked for: beyond it there is nothing more to see
SURROUNDED = 1.5  # times a picture's width, with its usual surroundings


def working_pixels(model, vae, image: Tensor, resolution: int, enlarge: bool) -> Tensor:
    """An IMAGE [B, H, W, 3] at the size the model sees it in: [B, 3, height, width]."""
    height, width = image.shape[1:3]
    _, most = network.of(model).limits()
    room = most * pixels_per_cell(vae) / SURROUNDED if most else math.inf
    scale = working_scale((height, width), resolution, own_resolution(model, vae), enlarge, room)
    size = round(height * scale), round(width * scale)
    pixels = image.movedim(-1, 1)  # [B, 3, H, W]
    if size != (height, width):
        pixels = interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    return pixels


def working_scale(size: tuple[int, int], resolution: int, own: int, enlarge: bool, room: float = math.inf) -> float:
    """The factor by which a picture of this size is scaled for the model; `resolution` 0: to the model's own side.

    Without a `resolution`, a picture is enlarged at most ENLARGED times, to the pixels of a 2:1 picture at the model's
    own side, and to a longer side of `room`, which is what the network has room for.
    """
    scale = (resolution or own) / min(size)
    if not enlarge:
        return min(1.0, scale)
    if resolution or scale <= 1:
        return scale
    return max(1.0, min(scale, ENLARGED, own * (2 / (size[0] * size[1])) ** 0.5, room / max(size)))


def encode(model, vae, pixels: Tensor) -> Tensor:
    """Latents [B, c, h', w'] of pictures [B, 3, height, width], padded to whole cells at the right and below.

    For a transformer they are padded to whole tokens. A VAE of videos would take the batch for a video, so it gets each
    picture by itself; the axis for time, of one frame, is dropped.
    """
    multiple, (height, width) = pixels_per_cell(vae) * network.of(model).cells_in_token(), pixels.shape[-2:]
    pixels = pad(pixels, (0, -width % multiple, 0, -height % multiple), mode="replicate").movedim(1, -1)
    if vae.latent_dim == 3:
        return torch.cat([vae.encode(each).float().cpu()[:, :, 0] for each in pixels.split(1)])
    return vae.encode(pixels).float().cpu()


def decode(vae, latents: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [N, H, W, 3] float32 on the device where the host leaves them, with the padding cut off."""
    if vae.latent_dim == 3:  # a VAE of videos: each has one frame
        images = vae.decode(latents.unsqueeze(2)).float()[:, 0]
    else:
        images = vae.decode(latents).float()
    return images[:, : size[0], : size[1], :3]


def own_resolution(model, vae) -> int:
    """The shorter side, in pixels, that the model was made for: 512 (SD1.x), 768 (SD2.1-v), 1024 (SDXL and later)."""
    said = getattr(type(model.get_model_object("model_config")), "own_pixels", None)
    return said or network.of(model).own_pixels(pixels_per_cell(vae))


def pixels_per_cell(vae) -> int:
    """How many pixels a side one cell of the latent stands for: 8 in Stable Diffusion."""
    return vae.spacial_compression_encode()


def decoding_weight(vae) -> float:
    """About how many rows of the UNet a decoding costs, before any has run.

    Three for Stable Diffusion's autoencoder at any size of picture; others in proportion to their parameters.
    """
    return 3.0 * sum(each.numel() for each in vae.first_stage_model.parameters()) / AUTOENCODER_PARAMETERS


def to_output(tensor: Tensor) -> Tensor:
    """float32 on the host's intermediate device, as MASK and IMAGE have to be."""
    return tensor.float().to(comfy.model_management.intermediate_device())
