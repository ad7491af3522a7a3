"""coarse mask -> pixel-accurate mask: modulated denoising of any MASK against its complement."""

import torch

from ...emerdiff_ops.difference import gaussian_smooth
from ...emerdiff_ops.guided import guided_upsample
from ...emerdiff_ops.lifting import against_complement, coarse_weights, contest, deal_out
from ..host import unet
from ..host.latents import pixels_per_cell
from .checks import check_mask, check_model, pictures_of
from .extract import invert
from .modulate import Push, modulate_attention
from .values import LowResMasks, Source


def lift_mask(source: Source, image, mask, push: Push, seed=0, smoothing=1.0, resolution=0) -> torch.Tensor:
    """How far every pixel sides with each mask, 0..1: [B * N, H, W] for N masks a picture, at the pictures' size."""
    check_model(source.model)
    masks = deal_out(check_mask(mask), len(image))  # [B, N, any, any]
    trajectory = invert(source, image, seed, resolution)
    height, width = trajectory.latent.shape[-2:]
    layer = unet.find_layer(source.model, push.layer, last=True)
    latent_size, cell = (height, width), pixels_per_cell(source.vae)
    padded, grid = (cell * height, cell * width), unet.grid_of(source.model, layer, latent_size)
    weights = [coarse_weights(each, trajectory.working_size, padded, grid) for each in masks]
    pairs = LowResMasks(torch.stack([against_complement(each) for each in weights]), latent_size)
    maps = modulate_attention(source, trajectory, pairs, push).difference
    pictures = zip(maps, pictures_of(image).cpu())
    soft = [guided_upsample(contest(gaussian_smooth(each, smoothing)), picture) for each, picture in pictures]
    return torch.cat(soft).clamp(0, 1)
