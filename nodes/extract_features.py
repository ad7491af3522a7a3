"""image -> features: the model's own low-resolution features, and the trajectory that later steps denoise along."""

from comfy_api.latest import io

from . import inputs
from .steps.extract import ROBUST, Reading, extract_features
from .steps.values import Source
from .wires import FeaturesType, TrajectoryType


class EmerDiffExtractFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffExtractFeatures",
            display_name="EmerDiff Extract Features",
            category="EmerDiff",
            description="Read what the diffusion model sees in a picture: one feature vector per cell of its grid. "
            "One or two evaluations a picture. First of the four steps.",
            search_aliases=[
                "unet features",
                "transformer features",
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
                inputs.seed("Seed of the noise that is added to the picture. The result depends on it a little."),
                inputs.resolution(),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    advanced=True,
                    tooltip="Length of the noise schedule. The paper's 50 gives timesteps 981, 961, ..., 1.",
                ),
                io.Int.Input(
                    "feature_timestep",
                    default=0,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="Noise level of the features, snapped to the schedule. 0 = the model's own: the paper's 1 "
                    "for UNets, 281 for transformers.",
                ),
                io.String.Input(
                    "feature_layer",
                    default="auto",
                    advanced=True,
                    tooltip='What is read: "auto", a cross-attention of a UNet like "output 4" or "output 1.4", or a '
                    'block of a transformer like "double 17" or "block 9".',
                ),
                *inputs.reading(),
            ],
            outputs=[
                FeaturesType.Output(display_name="features", tooltip="Features on the model's grid, for clustering."),
                TrajectoryType.Output(
                    display_name="trajectory",
                    tooltip="The picture's latent and noise, for EmerDiff Modulate Attention.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        conditioning,
        image,
        seed,
        resolution=0,
        steps=50,
        feature_timestep=0,
        feature_layer="auto",
        surroundings=ROBUST.surroundings,
        mirrored=ROBUST.mirrored,
        dense=ROBUST.dense,
        enlarge=ROBUST.enlarge,
        attention=ROBUST.attention,
    ) -> io.NodeOutput:
        source = Source(model, vae, conditioning)
        reading = Reading(feature_timestep, feature_layer, surroundings, mirrored, dense, enlarge, attention)
        return io.NodeOutput(*extract_features(source, image, seed, resolution, steps, reading))
