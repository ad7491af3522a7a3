"""Any EmerDiff value to a safetensors file and back."""

import json
from pathlib import Path
from typing import NamedTuple

import torch

from ...emerdiff_ops.files.layout import SPECS, Spec
from ...emerdiff_ops.files.safetensors_file import load
from . import values

KINDS: dict[str, type[NamedTuple]] = {
    "features": values.Features,
    "trajectory": values.Trajectory,
    "low_res_masks": values.LowResMasks,
    "difference_maps": values.DifferenceMaps,
    "segmentation": values.Segmentation,
}
NUMBERS = ("seed", "timesteps", "image_size")  # fields that the format keeps as tensors, and the wires as Python ints


def to_file(value) -> tuple[str, dict[str, torch.Tensor], dict[str, str]]:
    """A wire value as (kind, tensors, metadata in JSON), or a ValueError for anything else."""
    kind = next((kind for kind, value_type in KINDS.items() if isinstance(value, value_type)), None)
    if kind is None:
        raise ValueError(f"EmerDiff Save takes EmerDiff values, not {type(value).__name__}")
    tensors, metadata = {}, {}
    for name, field in value._asdict().items():
        if field is not None and name in SPECS[kind]:
            tensors[name] = torch.as_tensor(_signed(field))
        elif field is not None:
            metadata[name] = json.dumps(field)
    return kind, tensors, metadata


def from_file(path: Path):
    """The wire value of a saved file, or a ValueError that names what the file lacks."""
    kind, tensors, metadata = load(path)
    value_type = KINDS[kind]
    fields = {name: _as_on_the_wire(tensor, SPECS[kind][name]) for name, tensor in tensors.items()}
    fields.update({name: _plain(fields[name].tolist()) for name in NUMBERS if name in fields})
    others = [name for name in value_type._fields if name in metadata and name not in SPECS[kind]]
    fields.update({name: _plain(json.loads(metadata[name])) for name in others})
    absent = [name for name in value_type._fields if name not in fields and name not in value_type._field_defaults]
    if absent:
        raise ValueError(f"{path.name} lacks {', '.join(absent)}; write it again with EmerDiff Save")
    return value_type(**fields)  # type: ignore[call-overload]  # each of KINDS takes its own fields


def _as_on_the_wire(tensor: torch.Tensor, spec: Spec) -> torch.Tensor:
    """Floats become float32, unless the format has no float32 for them."""
    return tensor.float() if torch.float32 in spec.dtypes else tensor


def _signed(seed):
    """Seeds go up to 2^64 - 1, the file's integers to 2^63 - 1."""
    return seed - 2**64 if isinstance(seed, int) and seed >= 2**63 else seed


def _plain(value):
    """Python ints and tuples, a negative seed brought back above 2^63."""
    if isinstance(value, list):
        return tuple(value)
    return value + 2**64 if isinstance(value, int) and value < 0 else value
