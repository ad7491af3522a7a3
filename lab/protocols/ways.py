"""How published scripts read a picture and its labels before they score them: crop, sides, and which pixel is nearest.

Pictures are resized bilinearly without smoothing, labels by the nearest pixel. DiffCut crops a pixel more than it would
have to, and takes the nearest labels twice, the second time the first of every block.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import interpolate

from protocols.data_sets import DATA, DIFFCUT, DataSet
from protocols.layouts import Files, picture_of, truth_of


class Way(NamedTuple):
    """A published script's; `plain` keeps the whole picture as it is."""

    cropped: bool = False  # to the largest square in the middle
    narrower: int = 0  # pixels by which the square is smaller than it could be
    side: int = 0  # of the picture, and of its labels; 0: as it is
    labels_side: int = 0  # labels are taken from those once more; 0: not
    data: dict[str, DataSet] = DATA


WAYS = {"plain": Way(), "diffseg": Way(True, 0, 512), "diffcut": Way(True, 1, 1024, 128, DATA | DIFFCUT)}


def read(files: Files, meaning: dict[int, int], way: Way) -> tuple[np.ndarray, np.ndarray]:
    """A picture [H, W, 3] float32 in 0..1 and its classes [h, w]; raises DataError where a file does not fit."""
    picture = picture_of(files)
    truth = truth_of(files, meaning, picture.shape[:2])
    if way.cropped:
        square = middle(picture.shape[:2], way.narrower)
        picture, truth = picture[square], truth[square]
    if way.side:
        picture, truth = resized(picture, way.side), nearest(truth, (way.side, way.side))
    if way.labels_side:
        truth = first_of_blocks(truth, way.labels_side)
    return picture, truth


def middle(size: tuple[int, ...], narrower: int) -> tuple[slice, slice]:
    """The square in the middle; where it cannot be, DiffSeg goes up and left, DiffCut to the even pixel."""
    side = min(size) - narrower
    begins = [round((each - side) / 2) if narrower else (each - side) // 2 for each in size]
    return slice(begins[0], begins[0] + side), slice(begins[1], begins[1] + side)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    channels = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None]
    return interpolate(channels, (side, side), mode="bilinear")[0].movedim(0, -1).contiguous().numpy()


def nearest(labels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Labels [H, W] at the pixels [h, w] whose middles they lie nearest to."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(labels.shape, size))
    return labels[rows[:, None], columns]


def first_of_blocks(labels: np.ndarray, side: int) -> np.ndarray:
    places = np.arange(side) * len(labels) // side
    return labels[places[:, None], places]
