"""Pictures of a segmentation for browsers: files of the temp folder, named by digests of what they are drawn from.

Each picture and its labels are read once for the digests, and drawn only where the file is missing. A click on a clip
of hundreds of pictures reads them all and draws none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...emerdiff_ops.files.digest import digest
from ...emerdiff_ops.levels import Levels
from ...emerdiff_ops.segments.colors import colorize, in_bytes, overlay
from ...emerdiff_ops.segments.labels import labels_to_rgb, segment_areas
from ...emerdiff_ops.segments.regions import parts_for_browsers
from ..host.folders import temp_picture
from ..host.progress import counted
from .picks import Picks
from .values import Segmentation

LARGEST_SIDE = 1536  # pixels of what is sent to the browser, so that a 4K photograph stays light

File = dict[str, str]  # where a file lies, as the front end asks for it


class Shown(NamedTuple):
    """The files of one picture for the browser."""

    numbered: File  # segments in colour over the picture, with their numbers, for display
    picture: File  # the click widget draws from these three
    labels: File
    parts: File
    mark: str  # identifies the picture: a correction painted on it fits no other

    @property
    def for_the_widget(self) -> dict[str, File | str]:
        return {"picture": self.picture, "labels": self.labels, "parts": self.parts, "mark": self.mark}


def shown_pictures(pictures: Tensor) -> dict:
    """Files for the browser of pictures [B, H, W, 3] that a node shows unchanged."""
    files = [
        temp_picture(f"{digest(each)}.png", partial(in_bytes, each)) for each in counted(list(pictures), "pictures")
    ]
    return as_images(files)


def as_images(files: list[File]) -> dict:
    """Files as the front end shows a node's pictures."""
    return {"images": files, "animated": (False,)}


def numbered_labels(labels: Tensor, coloured: Tensor, colours: Tensor) -> File:
    """A label map [H, W] in its colours [H, W, 3], with every segment's number written in them."""
    name = f"{digest(labels)}-numbered.png"
    return temp_picture(name, lambda: in_bytes(overlay(coloured[None], labels[None], colours=colours)[0]))


def shown(labels: Tensor, picture: Tensor | None, colours: Tensor) -> Shown:
    """One label map [H, W] and the picture [H, W, 3] under it, or its own colours, no larger than LARGEST_SIDE."""
    of_labels = digest(labels)
    of_picture = "colours-of-" + of_labels if picture is None else digest(picture)
    mark = of_picture.removeprefix("colours-of-")[:8]

    def small() -> tuple[Tensor, Tensor]:
        return reduced(colorize(labels[None], colours) if picture is None else picture[None], labels[None])

    numbered = temp_picture(
        f"{of_picture}-under-{of_labels}-{LARGEST_SIDE}.png",
        lambda: in_bytes(overlay(*small(), colours=colours)[0]),
    )
    parts = temp_picture(
        f"{of_labels}-parts-{LARGEST_SIDE}.png",
        lambda: labels_to_rgb(reduced_labels(parts_for_browsers(labels)[None])[0]),
    )
    return Shown(numbered, **drawn_from(small, of_picture, of_labels), parts=parts, mark=mark)


def drawn_from(small: Callable[[], tuple[Tensor, Tensor]], of_picture: str, of_labels: str) -> dict[str, File]:
    """The files that the widget draws from, named by their content; `small` makes the pixels of missing ones."""
    return {
        "picture": temp_picture(f"{of_picture}-{LARGEST_SIDE}.jpg", lambda: in_bytes(small()[0][0])),
        "labels": temp_picture(f"{of_labels}-{LARGEST_SIDE}.png", lambda: labels_to_rgb(small()[1][0])),
    }


def for_the_widget(number: int, segmentation: Segmentation, picks: Picks, colours: Tensor) -> dict:
    """The data of one picture, without the files, that the widget of web/js/select_segments.js draws."""
    count, labels = segmentation.of_each[number], segmentation.labels[number]
    return {
        "colors": ["#" + bytes(colour).hex() for colour in (colours[:count] * 255).byte().tolist()],
        "areas": segment_areas(labels[None], segmentation.count)[0, :count].tolist(),
        "tree": segmentation.tree and segmentation.tree[number],
        "boxed": picks.boxed[number],
        "gone": [*map(str, picks.numbers.gone[number])],
        "used": used_texts(picks, number),
        "width": labels.shape[1],
        "height": labels.shape[0],
        "fingerprint": picks.numbers.now,
    }


def shown_levels(levels: Levels, picture: Tensor) -> dict:
    """A picture's levels for the browser: the picture [H, W, 3] and a label map of the level where pixels join."""
    joins = levels.joins
    height, width = joins.shape
    return {
        **drawn_from(lambda: reduced(picture[None], joins[None]), digest(picture), digest(joins)),
        "count": levels.count,
        "first": levels.first,
        "width": width,
        "height": height,
    }


def used_texts(picks: Picks, number: int) -> dict:
    """The texts that a picture was selected by, with its own lists only. The widget's texts may differ where linked."""
    made_on = picks.numbers.made_on
    positive, negative = (
        json.dumps([{"x": x, "y": y} for x, y in points[number]]) for points in (picks.positive, picks.negative)
    )
    named = [*picks.numbers.lists[number], *picks.numbers.parts[number]]
    return {
        "selection": ", ".join(map(str, named)) + (f" @{made_on}" if made_on else ""),
        "positive_points": positive,
        "negative_points": negative,
        "invert": picks.invert,
        "every_picture": picks.everywhere is not None,
        "correction": " @".join(filter(None, picks.corrections[number] or ())),
    }


def reduced(pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, H, W, 3] and labels [B, H, W], no larger than LARGEST_SIDE."""
    size = _reduced_size(labels)
    if size == labels.shape[1:]:
        return pictures, labels
    small = interpolate(pictures.movedim(-1, 1), size, mode="bilinear", antialias=True).movedim(1, -1)
    return small, reduced_labels(labels)


def reduced_labels(labels: Tensor) -> Tensor:
    """Labels [B, H, W], no larger than LARGEST_SIDE; pixel i has the label at floor((i + .5) * length / new length).

    web/js/segment_map.js computes back with the same numbers, so a place that it writes has the label that it shows.
    """
    rows, columns = (
        ((torch.arange(new, dtype=torch.float64) + 0.5) * length / new).long()
        for new, length in zip(_reduced_size(labels), labels.shape[1:])
    )
    return labels[:, rows][:, :, columns]


def _reduced_size(labels: Tensor) -> tuple[int, int]:
    height, width = labels.shape[1:]
    scale = min(1, LARGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
