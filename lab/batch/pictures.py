"""Pictures in a folder: which files they are, and each as the model takes it."""

import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

LINES, LOCK = "segments.jsonl", ".lock"  # in every folder that `segment` has written to
KINDS = ("labels", "overlays", "masks")  # of results, each in a folder of its own
RESULT = re.compile(r"labels/(.+)\.png|overlays/(.+)\.jpg|masks/(.+)/\d+\.png", re.DOTALL)
NOT_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow knows their endings and decodes none of them
NUMBERS = {"I", "F"}  # modes of one number a pixel, whose range no format says


def endings() -> set[str]:
    """Of the files that Pillow can read, ".jpg" and so on."""
    Image.init()
    readable = Image.OPEN.keys() - NOT_DECODED
    return {ending for ending, kind in Image.registered_extensions().items() if kind in readable}


def found(folder: Path, results: Path) -> list[str]:
    """The pictures in the folder and below, by their paths in it, in order.

    `results`, hidden names and what earlier runs wrote, wherever it lies, are left out.
    """
    known, listed = endings(), []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [each for each in folders if not each.startswith(".") and here / each != results]
        pictures = [here / each for each in files if Path(each).suffix.lower() in known and not each.startswith(".")]
        listed += [each.relative_to(folder).as_posix() for each in pictures if not is_result(each)]
    return sorted(listed)


def is_result(path: Path) -> bool:
    """Whether `segment` wrote the file: it is named like a picture's result, in a folder that `segment` has written to.

    Results keep the whole name of their picture, so that labels/a.png is no result and labels/a.jpg.png is one.
    """
    for place, part in enumerate(path.parts):
        named = part in KINDS and RESULT.fullmatch("/".join(path.parts[place:]))
        if named and Path(named[named.lastindex or 0]).suffix.lower() in endings():
            output = Path(*path.parts[:place])
            if (output / LINES).exists() or (output / LOCK).exists():
                return True
    return False


def read(path: Path) -> np.ndarray:
    """A picture [H, W, 3] float32 in 0..1, turned as its EXIF says; of a film the first frame, without transparency.

    ValueError where nobody can say which of its numbers are black and white; Pillow raises whatever it likes for a
    file that is broken.
    """
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)
    if picture.mode in NUMBERS or picture.mode.startswith("I;16"):
        grey = from_numbers(np.asarray(picture), picture.mode)
        return np.repeat(grey[..., None], 3, -1)
    return np.asarray(picture.convert("RGB"), np.float32) / 255


def from_numbers(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Grey of 16 bits [H, W] in 0..1; some formats give it as 32-bit numbers."""
    if mode == "F" or pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError(f"its pixels are numbers from {pixels.min():g} to {pixels.max():g}: save it with 8 or 16 bits")
    return (pixels / 0xFFFF).astype(np.float32)
