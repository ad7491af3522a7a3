"""Data sets in their published layouts, tiny and made up: a picture of two colours and labels that are known."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIDE = 16


def halves() -> np.ndarray:
    """A picture [16, 16, 3], red on the left and blue on the right: flat blocks, which JPEG keeps apart."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:, :8, 0] = picture[:, 8:, 2] = 220
    return picture


def thirds(one: int, other: int, rest: int, dtype: type = np.uint8) -> np.ndarray:
    """Labels [16, 16]: `one` on the left (128 pixels), on the right `other` (64), `one` (32) and `rest` (32)."""
    labels = np.full((SIDE, SIDE), one, dtype)
    labels[:8, 8:], labels[12:, 8:] = other, rest
    return labels


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, {"LabelMap": pixels})
    elif path.suffix == ".jpg":
        Image.fromarray(pixels).save(path, quality=100, subsampling=0)
    else:
        Image.fromarray(pixels).save(path)


def write(folder: Path, picture: str, labels: str, values: np.ndarray, texts: dict[str, str] | None = None) -> Path:
    """The picture of halves with labels, and files of text, under these names."""
    save(folder / picture, halves())
    save(folder / labels, values)
    for name, text in (texts or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
