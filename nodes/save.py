"""Any EmerDiff value to a safetensors file."""

from pathlib import Path

from comfy_api.latest import io

from ..emerdiff_ops.files.safetensors_file import save
from .host.folders import save_location
from .steps.saved import to_file
from .wires import EVERY_TYPE


class EmerDiffSave(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        kind = io.MatchType.Template("value", EVERY_TYPE)  # the output takes the input's type, name and colour
        return io.Schema(
            node_id="EmerDiffSave",
            display_name="EmerDiff Save",
            category="EmerDiff",
            description="Write features, masks, difference maps or a segmentation to a safetensors file in the output "
            "folder.",
            search_aliases=["export segmentation", "save features", "safetensors"],
            inputs=[
                io.MatchType.Input("value", kind, tooltip="Any value of an EmerDiff node, images and masks aside."),
                io.String.Input(
                    "filename_prefix",
                    default="emerdiff/value",
                    tooltip="Folder and beginning of the name, inside the output folder.",
                ),
            ],
            outputs=[io.MatchType.Output(kind, display_name="value", tooltip="The value, unchanged.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value, filename_prefix) -> io.NodeOutput:
        path = Path(save_location(filename_prefix) + ".safetensors")
        save(path, *to_file(value))
        return io.NodeOutput(value, ui={"text": (str(path.name),)})
