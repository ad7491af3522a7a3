"""Where the files of the published data sets lie, and how one of their pictures is read with its labels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from batch.pictures import is_result
from reasons import Stop

IGNORED = -1  # of a pixel that counts for nothing


class DataError(Stop):
    """A data set is not there, or not whole, or holds something else; the text names the file or folder."""


class Layout(NamedTuple):
    """Folders and files of a data set under its root; of alternatives, the first that is there is taken."""

    tops: tuple[str, ...]  # folders under the root in which all the others lie; "" is the root
    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    meaning: dict[int, int]  # class, or IGNORED, of every label that a file may hold
    names: Path | str = ""  # a file that lists the pictures, under the top or anywhere; "": all there are
    ends: tuple[str, str] = (".jpg", ".png")  # how a picture's and a label file's names go on after the listed name
    legend: str = ""  # a file of lines "number: name": labels mean what their names mean, all others `other`
    other: int = IGNORED

    def described(self) -> str:
        """What was looked for, in words."""
        parts = [" or ".join(self.pictures), " or ".join(self.labels), str(self.names), self.legend]
        tops = [top or "the folder itself" for top in self.tops]
        return f"{', '.join(filter(None, parts))} (in {' or '.join(tops)})"


class Files(NamedTuple):
    name: str
    picture: Path
    labels: Path


class Found(NamedTuple):
    files: list[Files]
    meaning: dict[int, int]


def find(layouts: tuple[Layout, ...], classes: tuple[str, ...], root: Path) -> Found:
    """The files of the first layout that lies under the root; raises DataError where none does."""
    for layout in layouts:
        for top in layout.tops:
            if found := found_in(layout, classes, root / top):
                return found
    described = "; or ".join(layout.described() for layout in layouts)
    raise DataError(f"there is no such data set in {root}: looked for {described}")


def found_in(layout: Layout, classes: tuple[str, ...], top: Path) -> Found | None:
    """The files of a layout in this folder, sorted by name; None where one of its parts is not there."""
    pictures, labels = (first_folder(top, some) for some in (layout.pictures, layout.labels))
    listed, legend = top / layout.names, top / layout.legend
    if pictures is None or labels is None or not listed.exists() or not legend.exists():
        return None
    names = listed.read_text().split() if layout.names else names_in(pictures, layout.ends[0])
    if not names:
        raise DataError(f"there are no pictures: {pictures if not layout.names else listed} has none")
    files = [Files(name, pictures / (name + layout.ends[0]), labels / (name + layout.ends[1])) for name in names]
    return Found(files, by_name(legend, classes, layout.other) if layout.legend else layout.meaning)


def first_folder(top: Path, names: tuple[str, ...]) -> Path | None:
    return next((top / each for each in names if (top / each).is_dir()), None)


def names_in(folder: Path, end: str) -> list[str]:
    found = [path for path in folder.rglob(f"*{end}") if not is_result(path)]
    return sorted(path.relative_to(folder).as_posix()[: -len(end)] for path in found)


def by_name(legend: Path, classes: tuple[str, ...], other: int) -> dict[int, int]:
    """The class of every number of a legend, by its name."""
    lines = [line.split(":") for line in legend.read_text().splitlines() if ":" in line]
    named = {name.strip(): int(number) for number, name in lines}
    if missing := [name for name in classes if name not in named and name != "background"]:
        raise DataError(f"{legend} has no line for {', '.join(missing)}: is it the one of this data set?")
    meaning = {number: classes.index(name) if name in classes else other for name, number in named.items()}
    return {0: other, **meaning}


def require(files: list[Files]) -> None:
    """Raises DataError where one is missing."""
    missing = [path for each in files for path in (each.picture, each.labels) if not path.exists()]
    if missing:
        raise DataError(f"{len(missing)} of {2 * len(files)} files are missing, the first is {missing[0]}")


def picture_of(files: Files) -> np.ndarray:
    """[H, W, 3] float32 in 0..1, as it is stored: labels were drawn on pictures that nobody turned."""
    return np.asarray(opened(files.picture).convert("RGB"), np.float32) / 255


def truth_of(files: Files, meaning: dict[int, int], size: tuple[int, ...]) -> np.ndarray:
    """The class, or IGNORED, of every pixel [H, W]; raises DataError where the file does not fit the picture."""
    values = matrix_of(files.labels) if files.labels.suffix == ".mat" else labels_of(files.labels)
    if values.shape != size:
        raise DataError(f"{files.labels} has {shown(values.shape)} labels, {files.picture} has {shown(size)} pixels")
    numbers = np.unique(values)
    if unknown := [int(each) for each in numbers if int(each) not in meaning]:
        raise DataError(f"{files.labels} holds the label {unknown[0]}, which this data set does not have")
    table = np.zeros(int(numbers[-1]) + 1, np.int64)
    table[numbers] = [meaning[int(each)] for each in numbers]
    return table[values]


def labels_of(path: Path) -> np.ndarray:
    image = opened(path)
    if image.mode not in ("L", "P", "I", "I;16"):
        raise DataError(f"{path} holds colours (mode {image.mode}), not labels: use the published label files")
    return np.asarray(image)


def matrix_of(path: Path) -> np.ndarray:
    try:
        return loadmat(path)["LabelMap"]
    except (KeyError, ValueError, OSError, MatReadError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def opened(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return image


def shown(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
