"""EmerDiff values in safetensors files: one value per file, checked whenever it is written or read.

The metadata holds {"emerdiff": kind, "version": "1"} and further strings; `SPECS` names each kind's tensors.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .labels import shortened
from .schedule import TRAINING_STEPS

VERSION = 1
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.uint64, torch.int32)  # uint64: seeds reach 2**64 - 1
IMAGE_SIZE = "height, width"  # an axis of two
MOST_SEGMENTS = 1024  # four times what any node makes; what follows takes time and memory by their square
MOST_PIXELS = 2**28  # of a picture; what is made of the file would not fit into memory
UNFINISHED = ".emerdiff-unfinished-"  # begins the names of folders
FORGOTTEN = 24 * 60 * 60  # seconds after which nobody is still writing there

# Windows opens these whatever the ending and the folder: "aux.txt" is a device.
DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(\.|$)", re.IGNORECASE)
UNUSABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\ud800-\udfff]|[. ]$')
LONGEST_PART, LONGEST_NAME = 255, 1000  # bytes, characters


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
SIZES = ("latent_size", "working_size", "image_size")  # in the metadata, JSON lists: height, width


def save(path: str | Path, kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors of a value of `kind`; the file appears under its name only when it is whole.

    That holds when the process is killed too, which leaves a hidden folder that a save of a later day takes away.
    Raises ValueError when the tensors do not fit `SPECS[kind]`.
    """
    path = Path(path)
    _require_valid(path, kind, tensors, metadata)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _remove_forgotten(path.parent)
    # a folder, because safetensors writes by way of a file with a name of its own choice
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        save_file(plain, unfinished, {**metadata, "emerdiff": kind, "version": str(VERSION)})
        _as_any_file(unfinished)
        os.replace(unfinished, path)


def load(path: str | Path) -> tuple[str, dict[str, torch.Tensor], dict[str, str]]:
    """Read a file of `save`: its kind, tensors (on the CPU) and metadata, all checked.

    Raises ValueError, naming the file and the remedy, for whatever is not such a file.
    """
    path = Path(path)
    if not os.path.isfile(path):
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


def is_inside(path: str | Path, root: str | Path) -> bool:
    """Whether the real path of `path`, links and ".." followed, is `root` or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def check_name(name: str) -> None:
    """ValueError for a path that is not a usable one on every system, before anything looks at it.

    Refused everywhere, so that no workflow works here and breaks or hangs there: what Windows cannot name or takes
    for a device, and network paths, which Windows logs in to when they are only looked at.
    """
    path = PureWindowsPath(name)
    if re.match(r"[/\\]{2}", name) or (path.drive and not os.path.isabs(name)):
        raise ValueError(f'"{shortened(name)}" is on another computer or drive; give a name in the output folder')
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    unusable = [part for part in parts if UNUSABLE.search(part) or DEVICE.match(part)]
    if unusable or len(name) > LONGEST_NAME or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise ValueError(
            f'"{shortened(ascii(name)[1:-1])}" is no file name on every system: use a shorter one of letters, digits, '
            "_ and -, not ending in a dot or space, and no name of a device such as CON or AUX"
        )


def _remove_forgotten(folder: Path) -> None:
    """Remove what saves that were killed have left; not younger folders, which another server may be writing to."""
    for unfinished in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - unfinished.lstat().st_mtime > FORGOTTEN:
                shutil.rmtree(unfinished)  # an error for files and links


def _as_any_file(path: Path) -> None:
    """Readable by whom new files are (safetensors lets only the owner), and on the disk, contents and all.

    Without the latter a power failure can leave the new name with a part of its contents.
    """
    usual = path.with_name("usual")
    usual.touch()
    shutil.copymode(usual, path)
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _kind(path: Path, metadata: Mapping[str, str]) -> str:
    kind, version = metadata.get("emerdiff"), metadata.get("version", "")
    if kind is None:
        raise ValueError(f"{path} was not written by EmerDiff; choose a file saved by the EmerDiffSave node")
    if not re.fullmatch("[0-9]{1,9}", version):
        raise ValueError(f"{path} names no format version; save the value again")
    if int(version) > VERSION:
        raise ValueError(f"{path} was written by a newer EmerDiff (format {version}, not {VERSION}); update this pack")
    if kind not in SPECS:
        raise ValueError(f'{path} holds an unknown kind of value, "{shortened(kind)}"; save the value again')
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
    return _axes_problem(kind, tensors) or _metadata_problem(metadata) or _content_problem(tensors, metadata)


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
    if sizes.get("K", 1) > MOST_SEGMENTS:
        return f"there are {sizes['K']} segments, more than {MOST_SEGMENTS}"
    return None


def _metadata_problem(metadata: Mapping[str, str]) -> str | None:
    for name in SIZES:
        if name in metadata and not _is_size(_from_json(metadata[name])):
            return f"the {name} is not a height and a width in whole numbers: {shortened(metadata[name])}"
    if "latent_format" in metadata and not isinstance(_from_json(metadata["latent_format"]), str):
        return f"the latent_format is not a name: {shortened(metadata['latent_format'])}"
    return None


def _from_json(text: str) -> object:
    """What the text holds; None where it is no JSON, as no field of a file is null."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _is_size(value: object) -> bool:
    sides = value if isinstance(value, list) else []
    whole = all(type(side) is int and side >= 1 for side in sides)  # a bool is an int too
    return len(sides) == 2 and whole and math.prod(sides) <= MOST_PIXELS


def _content_problem(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    if "timesteps" in tensors:
        timesteps = tensors["timesteps"].tolist()
        if timesteps[-1] < 0 or any(later >= earlier for earlier, later in zip(timesteps, timesteps[1:])):
            return "the timesteps do not fall towards 0"
        if timesteps[0] >= TRAINING_STEPS:
            return f"the timesteps reach {timesteps[0]}, but a model knows none beyond {TRAINING_STEPS - 1}"
    if "masks" in tensors and not (tensors["masks"].amin() >= 0 and tensors["masks"].amax() <= 1):
        return "the masks hold values outside 0 to 1"
    if "image_size" in tensors and not _is_size(tensors["image_size"].tolist()):
        return f"the image size is below 1 or beyond {MOST_PIXELS} pixels: {tensors['image_size'].tolist()}"
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
        if not (re.fullmatch("[1-9][0-9]{0,3}", count) and highest < int(count) <= MOST_SEGMENTS):
            return (
                f"the labels reach number {highest}, but the segments are {shortened(count)}, numbered from 0, of at "
                f"most {MOST_SEGMENTS}"
            )
    return f"the numbers of segments differ: {' and '.join(sorted(counts))}" if len(counts) > 1 else None
