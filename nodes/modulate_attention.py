"""low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff."""

from comfy_api.latest import io

from . import inputs
from .steps.modulate import PAPER, Push, modulate_attention
from .steps.presets import known
from .steps.values import Source
from .wires import DifferenceMapsType


class EmerDiffModulateAttention(inputs.PresetNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffModulateAttention",
            display_name="EmerDiff Modulate Attention",
            category="EmerDiff",
            description="Lift every coarse mask to pixels: push the UNet along the mask both ways and see which "
            "pixels change. The slow step: two denoising runs per segment. Third of the four.",
            search_aliases=["modulated denoising", "attention modulation", "refine masks", "difference maps"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.trajectory(),
                inputs.low_res_masks(),
                inputs.preset(),
                inputs.strength(),
                io.Int.Input(
                    "modulation_timestep",
                    default=0,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="t_m: the timestep that is pushed, snapped to the trajectory's. 0 = the preset's own (281 "
                    "in the paper). 281 to 481 is best. A larger one costs the preset paper more steps.",
                ),
                io.String.Input(
                    "modulation_layer",
                    default="auto",
                    advanced=True,
                    tooltip='Cross-attention layer that is pushed: "auto", or a name like "output 5", "output 2.9".',
                ),
                io.Boolean.Input(
                    "inject_attention",
                    default=True,
                    advanced=True,
                    tooltip="Hold all attention maps at those of the unmodulated run, as the paper does.",
                ),
                inputs.relative_strength(),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The pictures that the features come from. Gives sharper borders and saves one decode. "
                    "Ignored by the preset paper.",
                ),
            ],
            outputs=[
                DifferenceMapsType.Output(
                    display_name="difference_maps", tooltip="How strongly each pixel responds to each mask."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        conditioning,
        trajectory,
        low_res_masks,
        preset,
        strength=PAPER.strength,
        modulation_timestep=0,
        modulation_layer="auto",
        inject_attention=True,
        relative_strength=True,
        image=None,
    ) -> io.NodeOutput:
        source = Source(model, vae, conditioning)
        with known(preset) as name:
            push = Push(name, strength, modulation_timestep, modulation_layer, inject_attention, relative_strength)
            maps = modulate_attention(source, trajectory, low_res_masks, push, preview=True, image=image)
        return io.NodeOutput(maps)
