"""Single things on photographs, to be pointed at: objects, and regions by their size."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from measure.log import Row
from measure.photographs import agreed
from small_model.photographs import Photograph

SMALLEST = 0.004  # share of the picture
SIZES = {0.02: "below 2%", 0.1: "to 10%", 0.3: "to 30%", 1.0: "more"}  # of COCO's regions


class Thing(NamedTuple):
    called: str  # its set, and its size where that counts
    mask: np.ndarray  # [H, W] bool
    counts: np.ndarray  # [H, W] bool: where a mask is judged; GrabCut's borders are not


def written(points) -> str:
    """Points (row, column) as points editors write them."""
    return json.dumps([{"x": column, "y": row} for row, column in points])


def with_grabcut(items: Iterable[Row], root: Path) -> Iterator[str]:
    """The names of the photographs, and in turn with them those in bsds/ that GrabCut's masks are of."""
    masks = sorted((root / "grabcut").glob("*.mask.png"))
    names = (item["seed"] for item in items), (f"bsds/{path.name.removesuffix('.mask.png')}" for path in masks)
    yield from filter(None, chain.from_iterable(zip_longest(*names)))


def things(found: Photograph, root: Path) -> Iterator[Thing]:
    everywhere = np.ones(found.image.shape[:2], bool)
    group, name = found.name.split("/")
    if group == "weizmann":
        yield Thing("Weizmann", agreed(found)[0], everywhere)
    elif group == "bsds":
        with Image.open(root / "grabcut" / f"{name}.mask.png") as opened:
            drawn = np.asarray(opened.convert("L"))
        yield Thing("GrabCut", drawn == 255, drawn != 128)
    else:
        regions = (found.truths[0] == number for number in np.unique(found.truths[0]) if number)
        for region in (each for each in regions if each.mean() >= SMALLEST):
            yield Thing(
                f"COCO, {next(size for most, size in SIZES.items() if region.mean() <= most)}", region, everywhere
            )
