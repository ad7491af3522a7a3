"""EmerDiff values in safetensors files: one value per file, checked whenever it is written or read.

The metadata holds {"emerdiff": kind, "version": "1"} and further strings; `SPECS` names each kind's tensors.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

VERSION = 1
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.uint64, torch.int32)  # uint64: seeds reach 2**64 - 1
IMAGE_SIZE = "height, width"  # an axis of two


class Spec(NamedTuple):
    axes: tuple[str, ...]  # axes of the same name have the same size throughout the file
    dtypes: tuple[torch.dtype, ...]
    required: bool = True


SPECS = {
    "features": {"features": Spec(("B", "h", "w", "C"), FLOATS)},
    "trajectory": {
        "latent": Spec(("B", "C", "h'", "w'"), FLOATS),
        "seed": Spec((), WHOLE),
        "timesteps": Spec(("T",), WHOLE),  # falling
    },
    "low_res_masks": {"masks": Spec(("B", "K", "h", "w"), FLOATS)},
    "difference_maps": {
        "difference": Spec(("B", "K", "H", "W"), FLOATS),
        "image_size": Spec((IMAGE_SIZE,), WHOLE),
    },
    "segmentation": {
        "labels": Spec(("B", "H", "W"), (torch.int16,)),  # below K, and below the metadata's "count" if it is there
        "scores": Spec(("B", "K", "H", "W"), FLOATS, required=False),
    },
}


def save(path: str | Path, kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors of a value of `kind`; the file appears under its name only when it is whole.

    Raises ValueError when the tensors do not fit `SPECS[kind]`.
    """
    path = Path(path)
    _require_valid(path, kind, tensors, metadata)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    unfinished = path.with_name(f".emerdiff-{uuid.uuid4().hex}.tmp")
    try:
        save_file(plain, unfinished, {**metadata, "emerdiff": kind, "version": str(VERSION)})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | Path) -> tuple[str, dict[str, torch.Tensor], dict[str, str]]:
    """Read a file of `save`: its kind, tensors (on the CPU) and metadata, all checked.

    Raises ValueError, naming the file and the remedy, for whatever is not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}; check the name, or save the value again")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            kind = _kind(path, metadata)
            # cloned, because they would otherwise read from the file as long as they live
            tensors = {name: file.get_tensor(name).clone() for name in SPECS[kind] if name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error}); save the value again") from error
    _require_valid(path, kind, tensors, metadata)
    return kind, tensors, metadata


def inside(path: str | Path, roots: Iterable[str | Path]) -> Path:
    """The real path of `path`, links and ".." followed, taken from the first root where it exists.

    A relative path is taken from each root. Raises ValueError when it leads outside all of them.
    """
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    candidates = [Path(os.path.realpath(root / path)) for root in real_roots]
    allowed = [candidate for candidate in candidates if any(map(candidate.is_relative_to, real_roots))]
    if not allowed:
        folders = " or ".join(map(str, real_roots))
        raise ValueError(f"{path} is not inside {folders}; move the file there and give its name")
    return next(filter(os.path.exists, allowed), allowed[0])


def _kind(path: Path, metadata: Mapping[str, str]) -> str:
    kind, version = metadata.get("emerdiff"), metadata.get("version", "")
    if kind is None:
        raise ValueError(f"{path} was not written by EmerDiff; choose a file saved by the EmerDiffSave node")
    if not (version.isascii() and version.isdigit()):
        raise ValueError(f"{path} names no format version; save the value again")
    if int(version) > VERSION:
        raise ValueError(f"{path} was written by a newer EmerDiff (format {version}, not {VERSION}); update this pack")
    if kind not in SPECS:
        raise ValueError(f'{path} holds an unknown kind of value, "{kind}"; save the value again')
    return kind


def _require_valid(path: Path, kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    problem = _problem(kind, tensors, metadata)
    if problem:
        raise ValueError(f"{path}: {problem}; save the value again from the node that makes it")


def _problem(kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    """What is wrong with a value, or None."""
    if kind not in SPECS:
        return f'"{kind}" is none of {", ".join(SPECS)}'
    foreign = set(tensors) - set(SPECS[kind])
    if foreign:
        return f"{kind} has no tensor {', '.join(sorted(foreign))}"
    for name, spec in SPECS[kind].items():
        problem = _tensor_problem(name, spec, tensors.get(name))
        if problem:
            return problem
    return _axes_problem(kind, tensors) or _content_problem(tensors, metadata)


def _tensor_problem(name: str, spec: Spec, tensor: torch.Tensor | None) -> str | None:
    if tensor is None:
        return f'the tensor "{name}" is missing' if spec.required else None
    if tensor.ndim != len(spec.axes):
        return f'the tensor "{name}" has the shape {list(tensor.shape)} instead of [{", ".join(spec.axes)}]'
    if tensor.dtype not in spec.dtypes:
        return f'the tensor "{name}" is of {tensor.dtype} instead of {" or ".join(map(str, spec.dtypes))}'
    if tensor.numel() == 0:
        return f'the tensor "{name}" is empty'
    if tensor.is_floating_point() and not tensor.isfinite().all():
        return f'the tensor "{name}" holds NaN or infinite values'
    return None


def _axes_problem(kind: str, tensors: Mapping[str, torch.Tensor]) -> str | None:
    sizes = {IMAGE_SIZE: 2}
    for name, tensor in tensors.items():
        for axis, size in zip(SPECS[kind][name].axes, tensor.shape):
            if sizes.setdefault(axis, size) != size:
                return f'the tensor "{name}" has {size} along {axis} instead of {sizes[axis]}'
    return None


def _content_problem(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    if "timesteps" in tensors:
        timesteps = tensors["timesteps"].tolist()
        if timesteps[-1] < 0 or any(later >= earlier for earlier, later in zip(timesteps, timesteps[1:])):
            return "the timesteps do not fall towards 0"
    if "image_size" in tensors and min(tensors["image_size"].tolist()) < 1:
        return "the image size is below 1"
    if "labels" in tensors:
        return _labels_problem(tensors, metadata)
    return None


def _labels_problem(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    lowest, highest = (int(end) for end in tensors["labels"].aminmax())
    if lowest < 0:
        return f"the labels hold the negative number {lowest}"
    counts = {metadata["count"]} if "count" in metadata else set()
    if "scores" in tensors:
        counts.add(str(tensors["scores"].shape[1]))
    for count in sorted(counts):
        if not (count.isascii() and count.isdigit() and highest < int(count)):
            return f"the labels reach number {highest}, but the segments are {count}, numbered from 0"
    return f"the numbers of segments differ: {' and '.join(sorted(counts))}" if len(counts) > 1 else None
