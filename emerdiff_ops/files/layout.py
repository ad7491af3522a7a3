"""The contents of a file of each kind of value, and the checks of a value.

`SPECS` is the one table of tensors, axes and dtypes, between nodes and in files: B images, K segments, C channels;
(h, w) a feature grid, (h', w') the latent, (H, W) the image: at working size in difference maps, at its own in labels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import torch

from ..errors import shortened
from ..schedule import TRAINING_STEPS

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.uint64, torch.int32)  # uint64: seeds reach 2**64 - 1
IMAGE_SIZE = "height, width"  # an axis of two
MOST_SEGMENTS = 1024  # four times what any node makes; later steps take time and memory by their square
MOST_PIXELS = 2**28  # of a picture; results for a larger one would not fit into memory


class Spec(NamedTuple):
    axes: tuple[str, ...]  # axes of the same name have the same size throughout the file
    dtypes: tuple[torch.dtype, ...]
    required: bool = True


GRAM = Spec(("B", "K", "K"), FLOATS, required=False)  # inner products of the segments' mean features
SPECS = {
    "features": {
        "features": Spec(("B", "h", "w", "C"), FLOATS),
        "chains": Spec(("B", "N", "N"), (torch.float16,), required=False),  # N tokens of the metadata's "chain_grid"
        "clusters": Spec(("B", "two", "h", "w"), (torch.int16,), required=False),
    },
    "trajectory": {
        "latent": Spec(("B", "C", "h'", "w'"), FLOATS),
        "seed": Spec((), WHOLE),
        "timesteps": Spec(("T",), WHOLE),  # descending
    },
    "low_res_masks": {"masks": Spec(("B", "K", "h", "w"), FLOATS), "gram": GRAM},
    "difference_maps": {
        "difference": Spec(("B", "K", "H", "W"), FLOATS),
        "image_size": Spec((IMAGE_SIZE,), WHOLE),
        "gram": GRAM,
    },
    "segmentation": {
        "labels": Spec(("B", "H", "W"), (torch.int16,)),  # below K, and below the metadata's "count" if it is there
        "scores": Spec(("B", "K", "H", "W"), FLOATS, required=False),
    },
}
SIZES = ("latent_size", "working_size", "image_size", "chain_grid")  # in the metadata, JSON lists: height, width
NAMES = ("latent_format", "pictures", "numbering")  # in the metadata, JSON texts


def problem(kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    """What is wrong with a value, or None."""
    if kind not in SPECS:
        return f'"{kind}" is none of {", ".join(SPECS)}'
    foreign = set(tensors) - set(SPECS[kind])
    if foreign:
        return f"{kind} has no tensor {', '.join(sorted(foreign))}"
    for name, spec in SPECS[kind].items():
        wrong = _tensor_problem(name, spec, tensors.get(name))
        if wrong:
            return wrong
    return (
        _axes_problem(kind, tensors)
        or _metadata_problem(metadata)
        or _counts_problem(kind, tensors, metadata)
        or _content_problem(tensors, metadata)
    )


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
    for name in NAMES:
        if name in metadata and not isinstance(_from_json(metadata[name]), str):
            return f"the {name} is not a name: {shortened(metadata[name])}"
    return None


def _counts_problem(kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str | None:
    """What is wrong with "counts", if given: one number of segments for each picture, none above the maximum."""
    if "counts" not in metadata:
        return None
    axes = {axis: size for name, each in tensors.items() for axis, size in zip(SPECS[kind][name].axes, each.shape)}
    counts, all_, pictures = _from_json(metadata["counts"]), _from_json(metadata.get("count", "")), axes["B"]
    most = axes.get("K", all_ if type(all_) is int else MOST_SEGMENTS)
    if isinstance(counts, list) and len(counts) == pictures:
        if all(type(each) is int and 1 <= each <= most for each in counts):
            return None
    return (
        f"the counts are not a number of segments within 1-{most} for each of {pictures} pictures: "
        f"{shortened(metadata['counts'])}"
    )


def _from_json(text: str) -> object:
    """The value of a JSON text; None if it is not JSON, because no field of a file is null."""
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
    if "clusters" in tensors and not all(_numbered(each) for each in tensors["clusters"].flatten(0, 1)):
        return "the clusters are not numbered from 0 without gaps"
    if "chains" in tensors:
        return _chains_problem(tensors["chains"], metadata)
    if "labels" in tensors:
        return _labels_problem(tensors, metadata)
    return None


def _numbered(labels: torch.Tensor) -> bool:
    return int(labels.amin()) == 0 and labels.unique().numel() == int(labels.amax()) + 1


def _chains_problem(chains: torch.Tensor, metadata: Mapping[str, str]) -> str | None:
    grid = _from_json(metadata.get("chain_grid", ""))
    if not isinstance(grid, list) or math.prod(grid) != chains.shape[-1]:
        return f"the chains are of {chains.shape[-1]} tokens, which are not those of a grid of {grid}"
    if chains.amin() < 0 or not (chains.sum(-1) > 0).all():
        return "the chains hold negative numbers, or rows of nothing"
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
    if len(counts) > 1:
        return f"the numbers of segments differ: {' and '.join(sorted(counts))}"
    own = json.loads(metadata.get("counts", "null")) or []
    beyond = [number for number, most in enumerate(own) if tensors["labels"][number].amax() >= most]
    if beyond:
        return f"the labels of picture {beyond[0]} reach beyond its {own[beyond[0]]} segments"
    return _tree_problem(metadata, len(tensors["labels"]), highest)


def _tree_problem(metadata: Mapping[str, str], pictures: int, highest: int) -> str | None:
    """What is wrong with "tree", the merges of segments: for each picture a list of pairs of numbers."""
    if "tree" not in metadata:
        return None
    tree = _from_json(metadata["tree"])
    lists = tree if isinstance(tree, list) and len(tree) == pictures else [None]
    pairs = [pair for own in lists for pair in (own if isinstance(own, list) else [None])]
    if all(_is_pair(pair, highest) for pair in pairs):
        return None
    return f"the tree is not a list of pairs of segments for each picture: {shortened(metadata['tree'])}"


def _is_pair(value: object, highest: int) -> bool:
    numbers = value if isinstance(value, list) and len(value) == 2 else [None]
    return all(type(each) is int and 0 <= each <= highest for each in numbers)
