"""image -> features: the network's own features, and the trajectory that later steps denoise along."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.files.digest import digest
from ...emerdiff_ops.schedule import nearest_timestep, noise_for, timestep_grid
from ...emerdiff_ops.views import View, canvas_of, mean_reading, views
from ..host import network
from ..host.latents import encode, working_pixels
from ..host.places import Block, Layer
from ..host.progress import Progress, show_text
from ..host.session import capture_once
from .attention import with_attention
from .checks import check_canvas, check_encoded, check_grid, check_image, check_model, check_predicted, check_source
from .values import Features, Size, Source, Trajectory, size_of


class Reading(NamedTuple):
    """Where and how features are read; the paper reads every picture once, as it is."""

    timestep: int = 0  # t_f; 0: the model's own, the paper's 1 for UNets
    layer: str = "auto"  # the first cross-attention of the coarsest output level that has any; in transformers a block
    surroundings: float = 0.0  # share of the shorter side by which the picture is mirrored outwards
    mirrored: bool = False  # averages with the picture mirrored left to right
    dense: bool = False  # reads at half cells too: a grid twice as fine
    enlarge: bool = False  # enlarges a picture smaller than the model's own size, or than the size asked for
    attention: bool = False  # reads the picture's self-attention too, for points


PLAIN = Reading()
ROBUST = Reading(surroundings=0.25, mirrored=True, enlarge=True)


def reading_of(preset: str) -> Reading:
    """How Segment Image reads features: as in the paper for the preset `paper`, else in the way that measured best."""
    return PLAIN if preset == "paper" else ROBUST


def extract_features(
    source: Source, image, seed=0, resolution=0, steps=50, reading: Reading = PLAIN
) -> tuple[Features, Trajectory]:
    """Queries of one cross-attention layer at timestep t_f (paper, sec. 3), and the inverted trajectory.

    For a transformer, the attention output of one block at the picture's tokens.
    """
    check_model(source.model)
    place = network.of(source.model).find_place(reading.layer)  # refuses an unknown one before the work
    trajectory = invert(source, image, seed, resolution, steps, reading.enlarge)
    features = read_features(source, trajectory, reading)
    return with_attention(features, source, trajectory, place) if reading.attention else features, trajectory


def invert(source: Source, image, seed=0, resolution=0, steps=50, enlarge=False) -> Trajectory:
    """The picture's latent and the seed of its noise at every timestep (paper, sec. 3: DDPM inversion)."""
    check_source(source)
    grid, image = timestep_grid(steps), check_image(image)
    pixels = working_pixels(source.model, source.vae, image, resolution, enlarge)
    latent, size = latents_of(source.model, source.vae, pixels), size_of(pixels)
    own = tuple(image.shape[1:3])
    return Trajectory(latent, seed, grid, size, own, network.latent_format_name(source.model), digest(image))


def latents_of(model, vae, pixels: Tensor) -> Tensor:
    """Latents [B, c, h', w'] of pictures [B, 3, H, W] at working size."""
    return check_encoded(model, encode(model, vae, pixels))


def read_features(source: Source, trajectory: Trajectory, reading: Reading) -> Features:
    """Features [B, h, w, C] of encoded pictures: the mean over the views of each latent."""
    own = network.of(source.model)
    place = own.find_place(reading.layer)
    latent, size = trajectory.latent, trajectory.latent_size
    grid, cell = own.grid_of(place, size), own.cells_together(place)
    seen = views(reading.surroundings, reading.mirrored, reading.dense, size, grid, cell)
    check_canvas(source.model, seen[0].canvas)
    noise, sigma = noise_of(source, trajectory, seen[0].canvas, reading.timestep)
    progress = Progress()
    progress.expect("reading", len(latent) * len(seen), 1.0)

    def read(picture: int, view: View) -> tuple[View, Tensor]:
        own = slice(picture, picture + 1)
        features = captured(source, canvas_of(latent[own], view), noise[own], sigma, place)
        progress.step("reading")
        return view, features

    pictures = range(len(latent))
    features = [mean_reading((read(n, view) for view in seen), grid, reading.dense) for n in pictures]
    if evidence := own.evidence(place):
        show_text(f"read at {place}: {evidence}")
    return Features(torch.cat(features), size, trajectory.working_size, trajectory.pictures)


def noise_of(source: Source, trajectory: Trajectory, size: Size, timestep: int) -> tuple[Tensor, float]:
    """The noise [B, c, *size] and sigma at the trajectory's timestep nearest to this one; 0: the model's own."""
    timestep = nearest_timestep(timestep or network.of(source.model).own_timestep, trajectory.timesteps)
    shape = *trajectory.latent.shape[:2], *size
    noise = noise_for(torch.Size(shape), trajectory.seed, trajectory.timesteps, {timestep})
    return noise[timestep], network.sigma_of(source.model, timestep)


def captured(source: Source, latent, noise, sigma: float, place: Layer | Block) -> torch.Tensor:
    """Runs the network on one latent at noise level sigma, as far as the place; the features there [1, h, w, C]."""
    own = network.of(source.model)
    grid = own.grid_of(place, size_of(latent))
    capture = own.capture(place, grid)

    capture_once(source.model, source.conditioning, latent, sigma, capture, noise)
    if capture.features is None:
        raise ValueError(f"another node replaces or skips the model's block at {place}; choose another feature_layer")
    check_grid(capture.features.shape[1], grid, capture.grid)
    return check_predicted(capture.features[:1]).unflatten(1, grid)
