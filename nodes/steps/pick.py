"""points and boxes -> a rough mask of what is pointed at, by likeness of features, without segments or the UNet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.grid import Grid
from ...emerdiff_ops.levels import Levels
from ...emerdiff_ops.likeness import likeness, with_points
from ...emerdiff_ops.segments.texts import Box, parse_boxes_in, parse_points_in
from ..host.memory import Workplace
from ..host.progress import counted, show_notes
from .belongs import check_belongs, check_kind, check_same_pictures
from .levels import Pointed, along_borders, clusters_of, levels_of
from .modulate import workplace
from .values import Features, Size, Trajectory, size_of

UNREAD = (
    "the features hold no attention, so there are few levels: turn attention on in EmerDiff Extract Features and read "
    "the picture again"
)


class Picked(NamedTuple):
    soft: Tensor  # [B, H, W], above 1/2 where wanted
    levels: list[Levels]  # of each picture


def pick_by_points(
    features, trajectory, image, positive_points: str, negative_points: str, boxes=None, level: int = 0
) -> Tensor:
    """Soft masks [B, H, W] of what lies under positive points and in boxes, minus what is like the negative points.

    Points are for all pictures, or a list for each. Negative points alone give everything except what is like them.
    `level`: how many levels larger, or smaller, than the one shown by default.
    """
    return pick_levels(features, trajectory, image, (positive_points, negative_points, boxes), level).soft


def pick_levels(features, trajectory, image, pointed: tuple, level: int = 0) -> Picked:
    """The same, with all levels; `pointed` holds positive points, negative points and boxes, as written."""
    check_kind(features, Features)
    check_kind(trajectory, Trajectory)
    check_same_pictures(features, trajectory)
    pictures = check_belongs(image, trajectory.shape, trajectory.pictures)
    every = pointed_at(trajectory.image_size, len(pictures), *pointed)
    features = features._replace(working_size=trajectory.working_size)  # files of version 0.1 lack it
    for own in every:
        check_apart(own, features.grid, trajectory.image_size)
    show_notes([UNREAD] * (level != 0 and features.chains is None))
    place = workplace(features.features.device, trajectory.working_size, trajectory.image_size)
    found, levels = [], []
    for number, (picture, own) in enumerate(counted([*zip(pictures, every, strict=True)], "pictures")):
        of_picture = features.of(number)
        if of_picture.clusters is None:
            of_picture = of_picture._replace(clusters=clusters_of(of_picture.features[0])[None])
        soft = picked(of_picture, picture, own, place)
        levels.append(levels_of(of_picture, picture, own, soft > 0.5, place))
        mask = levels[-1].at(level)
        found.append(soft if torch.equal(mask, soft > 0.5) else mask.float())
    return Picked(torch.stack(found), levels)


def pointed_at(size: Size, pictures: int, positive_points: str, negative_points: str, boxes=None) -> list[Pointed]:
    """The points and boxes in each picture; ValueError where there are none."""
    sizes = [(size[1], size[0])] * pictures
    positive, negative = (parse_points_in(sizes, text) for text in (positive_points, negative_points))
    boxed = parse_boxes_in(sizes, boxes)
    if not any([*positive, *negative, *boxed]):
        raise ValueError(
            'nothing is pointed at: give points such as [{"x": 10, "y": 20}] in pixels of the picture, from a points '
            "editor, or boxes"
        )
    return [*map(Pointed, positive, negative, boxed)]


def check_apart(pointed: Pointed, grid: Grid, size: Size) -> None:
    """ValueError where a cell holds both a positive and a negative point."""
    wanted, unwanted = (grid.of_points(points, size) for points in (pointed.positive, pointed.negative))
    both = set(wanted) & set(unwanted)
    if both:
        row, column = min(both)
        raise ValueError(
            f"a positive and a negative point lie in the same cell (row {row}, column {column} of "
            f"{grid.cells[0]} x {grid.cells[1]}): move one of them, or raise resolution or turn on dense in EmerDiff "
            "Extract Features"
        )


def picked(features: Features, picture: Tensor, pointed: Pointed, place: Workplace) -> Tensor:
    """The soft mask [H, W] of what is pointed at in one picture [H, W, 3]."""
    positive, negative, boxes = pointed
    if not any(pointed):  # only other pictures of the batch have points
        return torch.zeros(picture.shape[:2])
    if not positive and not boxes:
        return 1 - picked(features, picture, Pointed(negative, [], []), place)
    assert features.clusters is not None  # pick_levels adds them where they were not read
    size, grid = size_of(picture[..., 0]), features.grid
    inside = cells_inside(boxes, grid, size)
    wanted, unwanted = (grid.of_points(points, size) for points in (positive, negative))
    coarse = likeness(features.features[0], features.clusters[0, 0], wanted, unwanted, inside)
    (soft,) = along_borders([coarse], picture, grid, place)
    return soft * kept(soft > 0.5, pointed)


def kept(mask: Tensor, pointed: Pointed) -> Tensor:
    """Where the mask [H, W] counts: in the connected parts that hold a point, and inside boxes."""
    boxed = torch.zeros_like(mask)
    for x1, y1, x2, y2 in pointed.boxes:
        boxed[y1:y2, x1:x2] = True
    if not pointed.positive:
        return boxed
    parts = with_points(mask, pointed.positive)
    near = parts | ~mask  # leaves the soft edges of what is kept as they are
    return near if not pointed.boxes else near | boxed


def cells_inside(boxes: list[Box], grid: Grid, size: Size) -> Tensor:
    """Which cells have their centre in a box of the picture at `size`, or hold the centre of one: [h, w] bool."""
    inside = torch.zeros(*grid.cells, dtype=torch.bool)
    rows, columns = (
        (torch.arange(cells) + 0.5) / cells * whole / side * own
        for cells, whole, side, own in zip(grid.cells, grid.covered, grid.working, size)
    )  # the picture's pixel at each cell's centre
    for x1, y1, x2, y2 in boxes:
        inside |= ((rows >= y1) & (rows < y2))[:, None] & ((columns >= x1) & (columns < x2))
        row, column = grid.of_points([((x1 + x2) // 2, (y1 + y2) // 2)], size)[0]
        inside[row, column] = True
    return inside
