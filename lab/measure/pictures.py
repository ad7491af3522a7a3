"""Pictures with known regions to measure on: scenes by seed, scenes with photographs' surfaces, photographs."""

import argparse
from collections.abc import Iterator
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from measure.log import Row
from measure.metrics import scores
from small_model.photographs import FOLDER, HALVES, names, photograph
from small_model.scenes import HELD_OUT, scene
from small_model.textures import textured_scene

TUNING = 20_000_000  # seed of the first scene that choices are made on
FIRST = {"tuning": TUNING, "reporting": HELD_OUT}
KINDS = ("scenes", "textured", "coco", "bsds")


class Pictured(NamedTuple):
    """A picture and the label maps [A, H, W] that are right for it; in some, 0 is what nobody labelled."""

    image: np.ndarray  # [H, W, 3] in 0..1
    truths: np.ndarray
    zero_is_unknown: bool = False

    def scores(self, labels: np.ndarray) -> dict[str, float]:
        """Mean over the people who drew a truth; boundaries within 2 pixels of a picture 512 pixels high, or own."""
        pixel = min(self.image.shape[:2]) / 512 if self.image.shape[0] != self.image.shape[1] else 1.0
        each = [scores(labels, truth, self._known(truth), pixel) for truth in self.truths]
        return {name: float(np.mean([one[name] for one in each])) for name in each[0]}

    def _known(self, truth: np.ndarray) -> np.ndarray | None:
        return truth != 0 if self.zero_is_unknown else None


class Pictures(NamedTuple):
    """Pictures of several kinds, as a Study's material; unless told the first `number` of every kind of a half."""

    half: str
    number: int
    kinds: tuple[str, ...] = KINDS
    called: str = "pictures"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--half", choices=HALVES, default=self.half)
        parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(self.kinds))
        parser.add_argument("--count", type=int, default=self.number, help="pictures of every kind")
        parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")

    def items(self, options: argparse.Namespace) -> Iterator[Row]:
        """The kinds in turn, so that whatever is measured first is of all of them."""
        listed = [[(kind, key) for key in keys(kind, options.half, options.root)[: options.count]]
                  for kind in options.kinds]  # fmt: skip
        for kind, key in filter(None, chain.from_iterable(zip_longest(*listed))):
            yield {"kind": kind, "key": key}

    def load(self, item: Row, size: int, options: argparse.Namespace) -> Pictured:
        return pictured(item["kind"], item["key"], size, options.half, options.root)


class Scenes(NamedTuple):
    """Scenes, by seed; a measurement makes them itself, of the size it needs."""

    first: int = HELD_OUT
    called: str = "scenes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--scenes", type=int, default=100)
        parser.add_argument("--first", type=int, default=self.first, help="seed of the first scene")

    def items(self, options: argparse.Namespace) -> Iterator[Row]:
        for seed in range(options.first, options.first + options.scenes):
            yield {"seed": seed}

    def load(self, item: Row, size: int, options: argparse.Namespace) -> int:
        return item["seed"]


def keys(kind: str, half: str, root: Path) -> list[int] | list[str]:
    """What names the pictures of a kind, endless for scenes as far as anyone goes."""
    if kind in ("scenes", "textured"):
        return list(range(FIRST[half], FIRST[half] + 1000))
    return names(half, root, (kind,))


def pictured(kind: str, key: int | str, size: int, half: str, root: Path) -> Pictured:
    if kind == "scenes":
        made = scene(int(key), size)
        return Pictured(made.image, made.labels[None])
    if kind == "textured":
        made = textured_scene(int(key), surfaces(half, root), size)
        return Pictured(made.image, made.labels[None])
    one = photograph(str(key), root)
    return Pictured(one.image, one.truths, kind == "coco")


@cache
def surfaces(half: str, root: Path) -> tuple[np.ndarray, ...]:
    return tuple(photograph(name, root).image for name in names(half, root, ("bsds",)))
