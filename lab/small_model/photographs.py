"""Photographs with people's regions, from a folder beside the project: for measuring, never to show.

The small models learned from one half, on which choices were made too; the other is for reporting. The hash of the name
decides, here and only here.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from reasons import Stop

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "photographs"
SETS = ("coco", "bsds", "weizmann")
HALVES = ("tuning", "reporting")


class Photograph(NamedTuple):
    name: str  # "coco/000000000009"
    image: np.ndarray  # [H, W, 3] float32, 0..1
    truths: np.ndarray  # [A, H, W], a label map for each person who drew one
    words: tuple[str, ...]  # what the regions are called, where that is known


class NoPhotographs(Stop):
    """The folder is not there, or holds something else; the text says what was looked for."""


def half_of(name: str) -> str:
    """ "tuning" or "reporting", by the hash of the name."""
    return HALVES[hashlib.sha256(name.encode()).digest()[0] % 2]


def names(half: str, root: Path = FOLDER, sets: tuple[str, ...] = SETS) -> list[str]:
    """The photographs of one half, sorted."""
    found = [f"{each}/{path.stem}" for each in sets for path in sorted((root / each).glob("*.jpg"))]
    if not found:
        raise NoPhotographs(
            f"there are no photographs in {root}: give --root a folder with {', '.join(sets)} in it, each with "
            "NAME.jpg beside NAME.npz, which holds `truth` [people, H, W]"
        )
    return [name for name in found if half_of(name) == half]


def photograph(name: str, root: Path = FOLDER) -> Photograph:
    with Image.open(root / f"{name}.jpg") as opened:
        image = np.asarray(opened.convert("RGB"), np.float32) / 255
    with np.load(root / f"{name}.npz") as kept:
        truths = kept["truth"]
    described = root / name.split("/")[0] / "regions.json"
    words = json.loads(described.read_text())[name.split("/")[1]]["regions"] if described.exists() else ()
    return Photograph(name, image, truths, tuple(words))
