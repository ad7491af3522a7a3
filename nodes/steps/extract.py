"""image -> features: the UNet's own low-resolution features, and the trajectory that later steps return along."""

from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.schedule import nearest_timestep, noise_for, sample_level, timestep_grid
from ...emerdiff_ops.views import View, canvas_of, mean_reading, views
from ..host import hooks, unet
from ..host.latents import encode, working_pixels
from ..host.progress import Progress
from ..host.session import run_session
from .checks import check_encoded, check_image, check_model, check_predicted, check_source
from .values import Features, Size, Source, Trajectory, size_of


class Reading(NamedTuple):
    """Where and how features are read; the paper reads every picture once, as it is."""

    timestep: int = 1  # t_f
    layer: str = "auto"  # the first cross-attention of the coarsest output level that has any
    surroundings: float = 0.0  # share of the shorter side by which the picture is mirrored outwards
    mirrored: bool = False  # the mean with the picture mirrored left to right
    dense: bool = False  # at half cells: a grid twice as fine


PLAIN = Reading()
ROBUST = Reading(surroundings=0.25, mirrored=True)


def reading_of(preset: str) -> Reading:
    """How Segment Image reads features: as the paper does where its method is asked for, else as measured best."""
    return PLAIN if preset == "paper" else ROBUST


def extract_features(
    source: Source, image, seed=0, resolution=0, steps=50, reading: Reading = PLAIN
) -> tuple[Features, Trajectory]:
    """Queries of one cross-attention layer at timestep t_f (paper, sec. 3), and the inverted trajectory."""
    check_model(source.model)
    unet.find_layer(source.model, reading.layer, last=False)  # an unknown one is refused before the work
    trajectory = invert(source, image, seed, resolution, steps)
    return read_features(source, trajectory, reading), trajectory


def invert(source: Source, image, seed=0, resolution=0, steps=50) -> Trajectory:
    """The picture's latent and what its noise at every timestep is drawn from (paper, sec. 3: DDPM inversion)."""
    check_source(source)
    grid, image = timestep_grid(steps), check_image(image)
    pixels = working_pixels(source.model, source.vae, image, resolution)
    latent, size = latents_of(source.model, source.vae, pixels), size_of(pixels)
    return Trajectory(latent, seed, grid, size, tuple(image.shape[1:3]), unet.latent_format_name(source.model))


def latents_of(model, vae, pixels: Tensor) -> Tensor:
    """Latents [B, c, h', w'] of pictures [B, 3, H, W] at working size."""
    return check_encoded(model, encode(vae, pixels))


def read_features(source: Source, trajectory: Trajectory, reading: Reading) -> Features:
    """Features [B, h, w, C] of pictures that have been encoded: the mean over the views of each latent."""
    layer = unet.find_layer(source.model, reading.layer, last=False)
    latent, size = trajectory.latent, size_of(trajectory.latent)
    grid, cell = unet.grid_of(source.model, layer, size), unet.cells_together(source.model, layer)
    seen = views(reading.surroundings, reading.mirrored, reading.dense, size, grid, cell)
    noise, sigma = noise_of(source, trajectory, seen[0].canvas, reading.timestep)
    progress = Progress({"reading": len(latent) * len(seen)}, {"reading": 1.0})

    def read(picture: int, view: View) -> tuple[View, Tensor]:
        own = slice(picture, picture + 1)
        queries = capture_queries(source, canvas_of(latent[own], view), noise[own], sigma, layer)
        progress.step("reading")
        return view, queries

    pictures = range(len(latent))
    features = [mean_reading((read(n, view) for view in seen), grid, reading.dense) for n in pictures]
    return Features(torch.cat(features), size)


def noise_of(source: Source, trajectory: Trajectory, size: Size, timestep: int) -> tuple[Tensor, float]:
    """The noise [B, c, *size] at the trajectory's nearest timestep, and its sigma."""
    timestep = nearest_timestep(timestep, trajectory.timesteps)
    shape = *trajectory.latent.shape[:2], *size
    noise = noise_for(torch.Size(shape), trajectory.seed, trajectory.timesteps, {timestep})
    return noise[timestep], unet.sigma_of(source.model, timestep)


def capture_queries(source: Source, latent, noise, sigma: float, layer) -> torch.Tensor:
    """The UNet on one latent at noise level sigma, as far as the layer; its queries [1, h, w, C]."""
    capture = hooks.QueryCapture(layer)

    def work(x0, predict):
        predict(sample_level(x0, sigma, noise.to(x0)), sigma, capture)
        return x0

    with suppress(hooks.Captured):
        run_session(source.model, source.conditioning, latent, work)
    if capture.queries is None:
        raise ValueError(f"another node replaces the UNet's block at {layer}; choose a different feature_layer")
    return check_predicted(capture.queries[:1]).unflatten(1, capture.grid)
