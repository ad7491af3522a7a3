"""Rough masks of a thing on photographs, lifted: IoU with people's masks, and theirs with each other.

With a small model, or with --checkpoint FILE of Stable Diffusion at the paper's settings. The photographs are not part
of the project: --root FOLDER has weizmann/, with NAME.jpg beside NAME.npz (truth [people, H, W]). Half of them are for
choices (--half tuning), figures are from the other. Scores are appended to
demo_output/photographs/MODEL HALF lifting.jsonl, so an interrupted run goes on where it stopped. No picture is written.
`pareto` and `rivals` measure segments on photographs.
"""

import argparse
import itertools
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.modulation import PRESETS

from measure.log import Row
from measure.metrics import iou
from measure.pipeline import Pipeline
from measure.rough import rough_masks
from measure.study import Study
from measure.tables import means
from small_model.photographs import FOLDER, HALVES, Photograph, names, photograph


class Photographs(NamedTuple):
    """The photographs of some sets, as a Study's material: the sets in turn."""

    sets: tuple[str, ...]
    called: str = "photographs"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
        parser.add_argument("--half", choices=HALVES, default="reporting")
        parser.add_argument("--count", type=int, default=1000, help="of every set at most so many")

    def items(self, options: argparse.Namespace) -> Iterator[Row]:
        of_sets = [names(options.half, options.root, (each,))[: options.count] for each in self.sets]
        for name in filter(None, itertools.chain.from_iterable(itertools.zip_longest(*of_sets))):
            yield {"seed": name}

    def load(self, item: Row, size: int, options: argparse.Namespace) -> Photograph:
        return photograph(item["seed"], options.root)


def main() -> None:
    study = Study("photographs", __doc__, Photographs(("weizmann",)))
    study.parser.add_argument("--preset", choices=PRESETS, nargs="+", default=list(PRESETS))
    table = partial(means, by=("preset", "case"))
    study.measure(lifting, table, study.options.preset, itemgetter("preset"), "lifting")


def lifting(pipeline: Pipeline, found: Photograph, presets: list[str]) -> Iterator[Row]:
    """Rough masks of what most people drew, before and after every preset; all are lifted one by one."""
    thing, agreement = agreed(found)
    known = pipeline.known(found.image, 0)
    for preset, (kind, rough) in itertools.product(presets, rough_masks(thing, seed=0).items()):
        lifted = pipeline.lift(found.image, torch.from_numpy(rough)[None], preset, known)[0].numpy() > 0.5
        before, after = (people(each, found) for each in (rough > 0.5, lifted))
        figures = {"rough mask": before, "lifted": after, "gain": after - before, "people": agreement}
        yield {"preset": preset, "case": kind, **figures}


def agreed(found: Photograph) -> tuple[np.ndarray, float]:
    """What most people drew, bool [H, W], and the mean IoU of every person's mask with those of the others."""
    drawn = found.truths > 0
    pairs = [iou(one, other) for one, other in itertools.combinations(drawn, 2)]
    return drawn.mean(0) >= 0.5, float(np.mean(pairs)) if pairs else 1.0


def people(mask: np.ndarray, found: Photograph) -> float:
    """Mean IoU with what every person drew."""
    return float(np.mean([iou(mask, truth > 0) for truth in found.truths]))
