"""rough mask -> precise mask: modulated denoising of any MASK."""

from comfy_api.latest import io

from . import inputs
from .results import lifted_result
from .steps.lift import lift_mask
from .steps.modulate import PAPER, Push
from .steps.values import Source


class EmerDiffLiftMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLiftMask",
            display_name="EmerDiff Lift Mask",
            category="EmerDiff",
            description="Make a rough mask precise: a brush stroke, a box or a heat map becomes the thing it lies on, "
            "pixel by pixel, by the diffusion model already loaded.",
            search_aliases=["refine mask", "mask refiner", "precise mask", "mask to object", "box to mask", "SAM"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                io.Mask.Input(
                    "mask",
                    tooltip="Any rough mask of the thing, of any size: from the mask editor, a box, CLIPSeg. Several "
                    "are lifted in one go: one for all pictures, or the same number for each, picture after picture.",
                ),
                inputs.preset(),
                inputs.seed("Seed of the noise. The result depends on it a little."),
                inputs.smoothing(),
                inputs.strength(),
                inputs.resolution(),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="0 or 1, exactly the picture's size."),
                io.Mask.Output(display_name="soft_mask", tooltip="0 to 1: how far each pixel sides with the mask."),
            ],
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
    ) -> io.NodeOutput:
        push, source = Push(preset, strength), Source(model, vae, conditioning)
        return lifted_result(image, lift_mask(source, image, mask, push, seed, smoothing, resolution))
