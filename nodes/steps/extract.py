"""image -> features: the UNet's own low-resolution features, and the trajectory that later steps return along."""

from contextlib import suppress

import torch

from ...emerdiff_ops.schedule import nearest_timestep, noise_for, sample_level, timestep_grid
from ..host import hooks, unet
from ..host.latents import encode
from ..host.progress import Progress
from ..host.session import run_session
from .checks import check_encoded, check_image, check_model, check_predicted, check_source
from .values import Features, Source, Trajectory


def extract_features(
    source: Source, image, seed=0, resolution=0, steps=50, timestep=1, layer="auto"
) -> tuple[Features, Trajectory]:
    """Queries of one cross-attention layer at timestep t_f (paper, sec. 3), and the inverted trajectory."""
    check_model(source.model)
    place = unet.find_layer(source.model, layer, last=False)
    trajectory = invert(source, image, seed, resolution, steps)
    timestep, latent = nearest_timestep(timestep, trajectory.timesteps), trajectory.latent
    noise = noise_for(latent.shape, seed, trajectory.timesteps, {timestep})[timestep]
    sigma, progress = unet.sigma_of(source.model, timestep), Progress({"picture": len(latent)}, {"picture": 1.0})
    maps = []
    for x0, eps in zip(latent.split(1), noise.split(1), strict=True):
        maps.append(capture_queries(source, x0, eps, sigma, place))
        progress.step("picture")
    height, width = latent.shape[-2:]
    return Features(torch.cat(maps), (height, width)), trajectory


def invert(source: Source, image, seed=0, resolution=0, steps=50) -> Trajectory:
    """The picture's latent and what its noise at every timestep is drawn from (paper, sec. 3: DDPM inversion)."""
    check_source(source)
    grid, image = timestep_grid(steps), check_image(image)
    latent, size = latents_of(source.model, source.vae, image, resolution)
    return Trajectory(latent, seed, grid, size, tuple(image.shape[1:3]), unet.latent_format_name(source.model))


def latents_of(model, vae, image, resolution=0) -> tuple[torch.Tensor, tuple[int, int]]:
    """Latents [B, c, h', w'] of a checked image, and the working size (height, width) that the model sees it in."""
    latent, size = encode(model, vae, image, resolution)
    return check_encoded(model, latent), size


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
