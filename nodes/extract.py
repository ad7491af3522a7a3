"""image -> features: the UNet's own low-resolution features, and the trajectory that later steps return along."""

from contextlib import suppress

import torch
from comfy_api.latest import io

from ..emerdiff_ops.schedule import nearest_timestep, noise_for, sample_level, timestep_grid
from . import hooks, host, inputs
from .types import Features, FeaturesType, Trajectory, TrajectoryType


def extract_features(
    model, vae, conditioning, image, seed=0, resolution=0, steps=50, feature_timestep=1, feature_layer="auto"
) -> tuple[Features, Trajectory]:
    """Queries of one cross-attention layer at timestep t_f (paper, sec. 3), and the inverted trajectory."""
    layer = host.find_layer(model, feature_layer, last=False)
    trajectory = invert(model, vae, image, seed, resolution, steps)
    timestep = nearest_timestep(feature_timestep, trajectory.timesteps)
    latent = trajectory.latent
    noise = noise_for(latent.shape, seed, trajectory.timesteps)[timestep]
    sigma, progress = host.sigma_of(model, timestep), host.Progress({"picture": len(latent)}, {"picture": 1.0})
    maps = []
    for x0, eps in zip(latent.split(1), noise.split(1), strict=True):
        maps.append(capture_queries(model, conditioning, x0, eps, sigma, layer))
        progress.step("picture")
    height, width = latent.shape[-2:]
    return Features(torch.cat(maps), (height, width)), trajectory


def invert(model, vae, image, seed=0, resolution=0, steps=50) -> Trajectory:
    """The picture's latent and what its noise at every timestep is drawn from (paper, sec. 3: DDPM inversion)."""
    grid, image = timestep_grid(steps), host.check_image(image)
    latent, size = host.encode(model, vae, image, resolution)
    return Trajectory(latent, seed, grid, size, tuple(image.shape[1:3]), host.latent_format_name(model))


def capture_queries(model, conditioning, latent, noise, sigma, layer) -> torch.Tensor:
    """The UNet on one latent at noise level sigma, as far as the layer; its queries [1, h, w, C]."""
    capture = hooks.QueryCapture(layer)

    def work(x0, predict):
        predict(sample_level(x0, sigma, noise.to(x0)), sigma, capture)
        return x0

    with suppress(hooks.Captured):
        host.run_session(model, conditioning, latent, work)
    if capture.queries is None:
        raise ValueError(f"another node replaces the UNet's block at {layer}; choose a different feature_layer")
    return capture.queries[:1].unflatten(1, capture.grid)


class EmerDiffExtractFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffExtractFeatures",
            display_name="EmerDiff Extract Features",
            category="EmerDiff",
            description="Read the semantic features that the diffusion model has of a picture: one UNet evaluation "
            "each. First of the four steps.",
            search_aliases=[
                "unet features",
                "diffusion features",
                "segment anything",
                "segmentation",
                "ddpm inversion",
            ],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                inputs.seed("Seed of the noise that the picture is taken through. The result depends on it a little."),
                inputs.resolution(),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    advanced=True,
                    tooltip="Steps in the whole noise schedule; the paper's 50 gives timesteps 981, 961, ..., 1.",
                ),
                io.Int.Input(
                    "feature_timestep",
                    default=1,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="Noise level of the features, snapped to the schedule. The paper's 1 is best.",
                ),
                io.String.Input(
                    "feature_layer",
                    default="auto",
                    advanced=True,
                    tooltip='Cross-attention layer to read: "auto", or a name like "output 4" or "output 1.4".',
                ),
            ],
            outputs=[
                FeaturesType.Output(display_name="features", tooltip="Features on the UNet's grid, for clustering."),
                TrajectoryType.Output(
                    display_name="trajectory",
                    tooltip="The picture's latent and noise, for EmerDiff Modulate Attention.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, vae, conditioning, image, seed, resolution=0, steps=50, feature_timestep=1, feature_layer="auto"
    ) -> io.NodeOutput:
        return io.NodeOutput(
            *extract_features(model, vae, conditioning, image, seed, resolution, steps, feature_timestep, feature_layer)
        )
