"""Touching equal things that share a segment are parted at the neck between them.

Things of one kind have the same features, so comparing features does not part them. The edge that TRACE (2503.07982)
reads from self-attention cut single things of the small models as often as it parted pairs. The outline does better.

labels [H, W] int16; parts are connected by 4 neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
import torch
from scipy import ndimage

from .regions import split_parts

NECK = 0.65  # of the largest depth: what is less deep does not hold things together
ALIKE_IN_DEPTH = 0.7  # of the largest depth, at least, in the middle of each thing
ALIKE_IN_AREA = 0.5  # of the largest thing's area, at least
COMPACT = 2.0  # times the area of a disc as deep, at most: the background falls into longer pieces
FRAMED = 0.05  # of an outline: with more of it on the picture's frame, the form is not known
COARSE = 256  # pixels of the longer side at which necks are looked for
SHALLOW = 4  # of these pixels: what is nowhere deeper is too thin to be judged


def split_things(labels: torch.Tensor) -> torch.Tensor:
    """Number every connected part, or each of the equal things it consists of, in order: [H, W] int32, from 0."""
    parts = split_parts(labels).cpu().numpy()  # [H, W]
    frame = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    on_frame = np.bincount(frame, minlength=parts.max() + 1)  # pixels of each part; those in corners count twice
    numbered, total = np.zeros_like(parts), 0
    for number, box in enumerate(ndimage.find_objects(parts + 1)):
        inside = parts[box] == number
        things = _things(inside, on_frame[number])
        numbered[box][inside] = total + things[inside]
        total += int(things.max()) + 1
    return torch.from_numpy(numbered).to(labels.device)


def _things(part: np.ndarray, on_frame: int) -> np.ndarray:
    """The things in a connected part [H, W] bool, from 0: [H, W] int32. Mostly it is one."""
    outline = sum(np.count_nonzero(np.diff(np.pad(part, 1), axis=axis)) for axis in (0, 1))
    if on_frame <= FRAMED * outline:
        step = ceil(max(part.shape) / COARSE)
        for form in _forms(part):
            depth = ndimage.distance_transform_edt(np.pad(form[::step, ::step], 1))[1:-1, 1:-1]  # from the outline
            cores = _cores(depth)
            if (count := cores.max()) > 1:
                things = _nearest(cores, step, part.shape)
                depths = step * np.array(ndimage.maximum(depth, cores, range(1, count + 1)))
                if _equal(np.bincount(things[part], minlength=count), depths):
                    return things
    return np.zeros(part.shape, np.int32)


def _forms(part: np.ndarray) -> Iterator[np.ndarray]:
    """A part, and the part without holes if it has any: three discs enclose a hole, and a ring has one."""
    yield part
    filled = ndimage.binary_fill_holes(part)
    if (filled != part).any():
        yield filled


def _equal(areas: np.ndarray, depths: np.ndarray) -> bool:
    """Whether areas and depths, in pixels, can be those of equal things, and not of pieces of the background."""
    return bool(areas.min() >= ALIKE_IN_AREA * areas.max() and (areas <= COMPACT * np.pi * depths**2).all())


def _nearest(cores: np.ndarray, step: int, size: tuple[int, int]) -> np.ndarray:
    """The number of the nearest core at every pixel, from 0: [H, W] int32, of cores on a grid of `step` pixels."""
    fine = cores.repeat(step, 0).repeat(step, 1)[: size[0], : size[1]]
    nearest = ndimage.distance_transform_edt(fine == 0, return_distances=False, return_indices=True)
    return fine[tuple(nearest)] - 1


def _cores(depth: np.ndarray) -> np.ndarray:
    """The middles of things of about one depth, from 1: [H, W] int32, 0 elsewhere. What is less deep is part of one."""
    if depth.max() < SHALLOW:
        return np.zeros(depth.shape, np.int32)
    found, count = ndimage.label(depth > NECK * depth.max())
    deepest = ndimage.maximum(depth, found, range(count + 1))
    deep = (deepest >= ALIKE_IN_DEPTH * depth.max()) & (np.arange(count + 1) > 0)
    return np.where(deep, deep.cumsum(), 0).astype(np.int32)[found]
