"""Reads a value back from a safetensors file that EmerDiff Save wrote."""

from comfy_api.latest import io

from .host.folders import find_file
from .steps.saved import from_file


class EmerDiffLoad(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLoad",
            display_name="EmerDiff Load",
            category="EmerDiff",
            description="Read back a value that EmerDiff Save wrote.",
            search_aliases=["import segmentation", "load features", "safetensors"],
            inputs=[
                io.String.Input(
                    "file_name",
                    default="",
                    tooltip='A file in the output or input folder, such as "emerdiff/value_00001_.safetensors".',
                ),
            ],
            outputs=[
                io.AnyType.Output(
                    display_name="value", tooltip="The value. Connect it where the saved one was connected."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, file_name):
        if file_name is None:
            return "by a link"  # its text is not known yet: a new text makes the node run again, a new file does not
        path = find_file(file_name)
        return f"{path.stat().st_mtime_ns} {path.stat().st_size}"

    @classmethod
    def execute(cls, file_name) -> io.NodeOutput:
        return io.NodeOutput(from_file(find_file(file_name)))
