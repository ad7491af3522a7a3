"""How many clicks a thing takes, as others measure it: to 85% and 90% of IoU, and IoU after 1, 2, 3, 5 clicks.

The first click is the most interior pixel of the thing, each further one that of the larger error: on what is missing,
or on what is too much. On photographs: the object of Weizmann's, those of GrabCut's benchmark that are in --root, and
COCO's regions of at least 0.4% of the picture, by their size. Beside each other

  shown first    EmerDiff Pick by Points, the level that it shows unasked
  best level     the same by somebody who turns to the best of its levels after every click
  segment        that of a draft under the first click, and the best of what it becomes part of where segments merge

Published: M2N2 takes 1.62 clicks to 85% and 1.90 to 90% on all 50 of GrabCut's, with Stable Diffusion 2, at most 20.
Scores are kept in demo_output/clicks/ as they come; an interrupted run goes on. No picture is written.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import torch
from emerdiff.emerdiff_ops.levels import Levels
from emerdiff.nodes.steps.assemble import tree_of
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.pick import pick_levels

from measure.log import Row
from measure.metrics import interior, iou
from measure.photographs import Photographs
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import means
from measure.things import Thing, things, with_grabcut, written
from small_model.photographs import Photograph

GOALS, AFTER = (0.85, 0.9), (1, 2, 3, 5)
READING = ROBUST._replace(attention=True)
Points = tuple[tuple[int, int], ...]
Answer = Callable[[Points, Points], list[np.ndarray]]  # of positive and negative points (row, column); one counts


class Clicked(Photographs):
    """Photographs with things, GrabCut's among them; of these both halves, as there are few."""

    def items(self, options: argparse.Namespace) -> Iterator[Row]:
        yield from ({"seed": name} for name in with_grabcut(super().items(options), options.root))


def main() -> None:
    study = Study("clicks", __doc__, Clicked(("weizmann", "coco")))
    study.parser.add_argument("--most", type=int, default=20, help="clicks at a thing")
    measured = partial(clicked, study.options)
    study.measure(measured, lambda rows, title: means(rows, f"{title}, of {study.options.most} clicks", ("set", "way")))


def clicked(options: argparse.Namespace, pipeline: Pipeline, found: Photograph, _) -> Iterator[Row]:
    answers = answers_of(pipeline, found.image)
    for thing in things(found, options.root):
        for way, (answer, most) in answers.items():
            reached = scores(answer, thing, min(most, options.most))
            clicks = {f"clicks to {goal:.0%}": clicks_to(goal, reached, options.most) for goal in GOALS}
            after = {f"IoU after {number}": reached[min(number, len(reached)) - 1] for number in AFTER}
            yield {"set": thing.called, "way": way, **clicks, **after}


def answers_of(pipeline: Pipeline, image: np.ndarray) -> dict[str, tuple[Answer, int]]:
    """Every way, and how many clicks it takes at most."""
    features, trajectory = pipeline.features(image, 0, reading=READING)
    picture = torch.from_numpy(image)[None]

    @cache
    def levels(positive: Points, negative: Points) -> Levels:
        (own,) = pick_levels(features, trajectory, picture, (written(positive), written(negative), None)).levels
        return own

    def shown(positive: Points, negative: Points) -> list[np.ndarray]:
        return [levels(positive, negative).at(0).numpy()]

    def turned_to(positive: Points, negative: Points) -> list[np.ndarray]:
        own = levels(positive, negative)
        return [own.at(level - own.first).numpy() for level in range(own.count)]

    every = 1000
    labels, tree = drafted(pipeline, image)
    return {
        "shown first": (shown, every),
        "best level": (turned_to, every),
        "segment": (lambda positive, _: [labels == labels[positive[0]]], 1),
        "its best ancestor": (lambda positive, _: becoming(labels, tree, positive[0]), 1),
    }


def drafted(pipeline: Pipeline, image: np.ndarray) -> tuple[np.ndarray, list]:
    """The labels [H, W] of a draft, and how its segments merge."""
    segmented = pipeline.segmented(image, "draft")
    tree = tree_of(list(segmented.segmentation.labels), segmented.low_res.gram)
    return segmented.labels, list(tree[0]) if tree else []


def becoming(labels: np.ndarray, tree: list, place: tuple[int, int]) -> list[np.ndarray]:
    """The segment at a place, and what it is part of after every merge."""
    owner, found = np.arange(int(labels.max()) + 1), [labels == labels[place]]
    for kept, gone in tree:
        owner[owner == gone] = kept
        if kept == owner[labels[place]]:
            found.append(owner[labels] == kept)
    return found


def scores(answer: Answer, thing: Thing, most: int) -> list[float]:
    """IoU after every click, until the last goal is reached; where a click is refused, as the one before."""
    positive, negative = [interior(thing.mask)], list[tuple[int, int]]()
    found: list[float] = []
    while len(found) < most:
        try:
            masks = answer(tuple(positive), tuple(negative))
            best = max(masks, key=lambda mask: iou(mask & thing.counts, thing.mask))
        except ValueError:  # a positive and a negative point in one cell
            return found + found[-1:] * (most - len(found))
        found.append(iou(best & thing.counts, thing.mask))
        missing, too_much = thing.mask & ~best, best & ~thing.mask & thing.counts
        if found[-1] >= GOALS[-1] or not (missing | too_much).any():
            break
        more = missing.sum() >= too_much.sum()
        (positive if more else negative).append(interior(missing if more else too_much))
    return found


def clicks_to(goal: float, reached: list[float], most: int) -> int:
    return next((number for number, score in enumerate(reached, 1) if score >= goal), most)
