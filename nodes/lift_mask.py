"""rough mask -> precise mask: modulated denoising of any MASK."""

from comfy_api.latest import io

from . import inputs
from .results import lifted_result
from .steps.lift import Known, lift_mask
from .steps.modulate import PAPER, Push
from .steps.presets import known
from .steps.values import Source
from .wires import FeaturesType, TrajectoryType


class EmerDiffLiftMask(inputs.PresetNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLiftMask",
            display_name="EmerDiff Lift Mask",
            category="EmerDiff",
            description="Make a rough mask precise: a brush stroke, a box or a heat map becomes the thing it lies on, "
            "pixel by pixel, with the diffusion model already loaded.",
            search_aliases=["refine mask", "outline", "mask to object", "box to mask", "SAM", "inpaint mask"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                io.Mask.Input(
                    "mask",
                    tooltip="Any rough mask of the thing, of any size: from the mask editor, a box, CLIPSeg. One mask "
                    "serves all pictures. Otherwise every picture has the same number of masks, picture after "
                    "picture.",
                ),
                inputs.preset("to click in"),
                inputs.seed("Seed of the noise. The result depends on it a little."),
                inputs.smoothing(),
                inputs.strength(),
                inputs.resolution(),
                inputs.relative_strength(),
                FeaturesType.Input(
                    "features", optional=True, tooltip="Features of the same pictures. They are not read again."
                ),
                TrajectoryType.Input(
                    "trajectory",
                    optional=True,
                    tooltip="From the same EmerDiff Extract Features, whose seed then counts. The pictures are not "
                    "encoded again.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="0 or 1, exactly the picture's size."),
                io.Mask.Output(display_name="soft_mask", tooltip="0 to 1: how well each pixel matches the mask."),
            ],
            is_output_node=True,  # it shows the masks over the picture
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        conditioning,
        image,
        mask,
        preset,
        seed,
        smoothing=1.0,
        strength=PAPER.strength,
        resolution=0,
        relative_strength=True,
        features=None,
        trajectory=None,
    ) -> io.NodeOutput:
        source, read = Source(model, vae, conditioning), Known(seed, resolution, features, trajectory)
        with known(preset) as name:
            push = Push(name, strength, relative=relative_strength)
            lifted = lift_mask(source, image, mask, push, read, smoothing)
        return lifted_result(image, lifted)
