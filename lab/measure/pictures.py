"""Pictures with known regions to measure on: scenes by seed, scenes with photographs' surfaces, photographs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from measure.log import Row, append, read
from measure.metrics import scores
from small_model.photographs import FOLDER, HALVES, NoPhotographs, names, photograph
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


def add_arguments(parser: argparse.ArgumentParser, half: str, count: int) -> None:
    """Which pictures are measured on, unless told the first `count` of every kind of a `half`."""
    parser.add_argument("--half", choices=HALVES, default=half)
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--count", type=int, default=count, help="pictures of every kind")
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")


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


def spread_out(kinds: list[str], count: int, half: str, root: Path) -> Iterator[tuple[str, int | str]]:
    """`count` pictures of every kind, the kinds in turn, so that whatever is measured first is of all of them."""
    listed = {kind: keys(kind, half, root)[:count] for kind in kinds}
    for number in range(count):
        for kind, found in listed.items():
            if number < len(found):
                yield kind, found[number]


def measure_missing_pictures(
    log: Path,
    options: argparse.Namespace,
    size: int,
    measure: Callable[[Pictured, list], Iterable[Row]],
    wanted: Iterable[Hashable] = (None,),
    name: Callable[[Row], Hashable] = lambda row: None,
) -> None:
    """Append measure(picture, missing) to the log, for every picture that it has not all of `wanted` of.

    name(row) says which of `wanted` a row is of. The pictures are those of options.kinds, count, half and root. The
    command ends with a sentence where photographs are missing.
    """
    wanted = list(wanted)
    done = {(row["kind"], row["key"], name(row)) for row in read(log)}
    try:
        for kind, key in spread_out(options.kinds, options.count, options.half, options.root):
            missing = [each for each in wanted if (kind, key, each) not in done]
            if missing:
                seen = pictured(kind, key, size, options.half, options.root)
                append(log, *({"kind": kind, "key": key, **row} for row in measure(seen, missing)))
                print(kind, key, flush=True)
    except NoPhotographs as reason:
        sys.exit(f"No figures: {reason}.")
