"""Any EmerDiff value to a safetensors file and back."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from comfy_api.latest import io

from ..emerdiff_ops import files
from . import host, types

KINDS: dict[str, type[NamedTuple]] = {
    "features": types.Features,
    "trajectory": types.Trajectory,
    "low_res_masks": types.LowResMasks,
    "difference_maps": types.DifferenceMaps,
    "segmentation": types.Segmentation,
}
WIRES = [
    types.FeaturesType,
    types.TrajectoryType,
    types.LowResMasksType,
    types.DifferenceMapsType,
    types.SegmentationType,
]
NUMBERS = ("seed", "timesteps", "image_size")  # fields that the format keeps as tensors, and the wires as Python ints


def to_file(value) -> tuple[str, dict[str, torch.Tensor], dict[str, str]]:
    """A wire value as (kind, tensors, metadata in JSON), or a ValueError for anything else."""
    kind = next((kind for kind, value_type in KINDS.items() if isinstance(value, value_type)), None)
    if kind is None:
        raise ValueError(f"EmerDiff Save takes EmerDiff values, not {type(value).__name__}")
    tensors, metadata = {}, {}
    for name, field in value._asdict().items():
        if field is not None and name in files.SPECS[kind]:
            tensors[name] = torch.as_tensor(_signed(field))
        elif field is not None:
            metadata[name] = json.dumps(field)
    return kind, tensors, metadata


def from_file(path: Path):
    """The wire value of a saved file, or a ValueError that names what the file lacks."""
    kind, tensors, metadata = files.load(path)
    value_type = KINDS[kind]
    fields = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    fields.update({name: _plain(fields[name].tolist()) for name in NUMBERS if name in fields})
    others = [name for name in value_type._fields if name in metadata and name not in files.SPECS[kind]]
    fields.update({name: _plain(json.loads(metadata[name])) for name in others})
    absent = [name for name in value_type._fields if name not in fields and name not in value_type._field_defaults]
    if absent:
        raise ValueError(f"{path.name} lacks {', '.join(absent)}; write it again with EmerDiff Save")
    return value_type(**fields)  # type: ignore[call-overload]  # each of KINDS takes its own fields


def _signed(seed):
    """Seeds go up to 2^64 - 1, the file's integers to 2^63 - 1."""
    return seed - 2**64 if isinstance(seed, int) and seed >= 2**63 else seed


def _plain(value):
    """Python ints and tuples, a negative seed brought back above 2^63."""
    if isinstance(value, list):
        return tuple(value)
    return value + 2**64 if isinstance(value, int) and value < 0 else value


class EmerDiffSave(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSave",
            display_name="EmerDiff Save",
            category="EmerDiff",
            description="Write features, masks, difference maps or a segmentation to a safetensors file in the output "
            "folder.",
            search_aliases=["export segmentation", "save features", "safetensors"],
            inputs=[
                io.MultiType.Input(
                    "value", types=WIRES, tooltip="Any value of an EmerDiff node, images and masks aside."
                ),
                io.String.Input(
                    "filename_prefix", default="emerdiff/value", tooltip="Where in the output folder, and what name."
                ),
            ],
            outputs=[io.AnyType.Output(display_name="value", tooltip="The value, unchanged.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value, filename_prefix) -> io.NodeOutput:
        path = Path(host.save_location(filename_prefix) + ".safetensors")
        files.save(path, *to_file(value))
        return io.NodeOutput(value, ui={"text": (str(path.name),)})


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
            outputs=[io.AnyType.Output(display_name="value", tooltip="The value; connect it where the saved one was.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file_name):
        path = host.find_file(file_name)
        return f"{path.stat().st_mtime_ns} {path.stat().st_size}"

    @classmethod
    def execute(cls, file_name) -> io.NodeOutput:
        return io.NodeOutput(from_file(host.find_file(file_name)))
