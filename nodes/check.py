"""Hidden: refuses before any work what a later step of EmerDiff Segment Image would refuse.

It is an output node because the host runs those first. No other step takes its output, so a change of the preset
reruns none of them.
"""

from comfy_api.latest import io

from . import inputs
from .steps.checks import check_model
from .steps.presets import check_suits


class EmerDiffCheck(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffCheck",
            display_name="EmerDiff Check",
            category="EmerDiff",
            description="Refuses a model that cannot do what the presets ask for; used inside EmerDiff Segment Image.",
            search_aliases=["EmerDiff Segment Image"],
            inputs=[inputs.model(), io.AnyType.Input("presets", tooltip="A list as one value.")],
            outputs=[],
            is_output_node=True,
            is_dev_only=True,
        )

    @classmethod
    def execute(cls, model, presets) -> io.NodeOutput:
        check_model(model)
        for preset in presets:
            check_suits(model, preset)
        return io.NodeOutput()
