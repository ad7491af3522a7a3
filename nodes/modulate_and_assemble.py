"""low-resolution masks -> masks in one go, for EmerDiff Segment Image.

No node there needs all the difference maps, so each goes into the label map as soon as it is made. Only one is held at
a time, whatever the number of segments and pictures.
"""

from comfy_api.latest import io

from . import inputs
from .results import segmentation_outputs, segmentation_result
from .steps.presets import known
from .steps.segment import SPECKS, segment_pictures
from .steps.values import Source


class EmerDiffModulateAndAssemble(inputs.PresetNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffModulateAndAssemble",
            display_name="EmerDiff Modulate and Assemble",
            category="EmerDiff",
            description="What EmerDiff Segment Image does after clustering; use EmerDiff Modulate Attention and "
            "EmerDiff Assemble Masks, which have more settings.",
            search_aliases=["EmerDiff Segment Image"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                inputs.trajectory(),
                inputs.low_res_masks(),
                inputs.preset(),
                inputs.make_masks(),
                inputs.specks(),
            ],
            outputs=segmentation_outputs(),
            is_dev_only=True,
        )

    @classmethod
    def execute(
        cls, model, vae, conditioning, image, trajectory, low_res_masks, preset, make_masks=True, specks=SPECKS
    ) -> io.NodeOutput:
        source = Source(model, vae, conditioning)
        with known(preset) as name:
            segmentation = segment_pictures(source, image, trajectory, low_res_masks, name, specks)
        return segmentation_result(segmentation, make_masks)
