"""What one gets of a thing by pointing at it: the segment under a click, what is like a click, two clicks, a box."""

import json
from collections.abc import Callable

import numpy as np
import torch
from emerdiff.nodes.steps.pick import pick_by_points
from scipy import ndimage

from measure.metrics import interior
from measure.pipeline import Pipeline

Score = Callable[[np.ndarray], float]  # of a mask [H, W] bool


def clicked(pipeline: Pipeline, image: np.ndarray, thing: np.ndarray, score: Score, preset: str) -> dict[str, float]:
    """Scores of all ways to point at a thing [H, W] bool, the first click being its most interior point.

    The second click is where the first was most wrong. A lifted mask is that of the first click.
    """
    features, trajectory, _, labels = pipeline.segmented(image, preset)
    picture = torch.from_numpy(image)[None]

    def pointed(positive, negative=(), boxes=None) -> np.ndarray:
        return pick_by_points(features, trajectory, picture, written(positive), written(negative), boxes)[0].numpy()

    first = interior(thing)
    one = pointed([first])
    try:
        two = pointed(*with_correction(first, one > 0.5, thing))
    except ValueError:  # both points in one cell, which is refused: one keeps what one click gave
        two = one
    rows, columns = ndimage.find_objects(thing.astype(int))[0]
    boxed = pointed([], boxes=[[columns.start, rows.start, columns.stop, rows.stop]])
    lifted = pipeline.lift(image, torch.from_numpy(one)[None], preset, pipeline.known(image, 0))[0].numpy()
    return {
        "segment under it": score(labels == labels[first]),
        "best single segment": max(score(labels == number) for number in np.unique(labels)),
        "like one point": score(one > 0.5),
        "the same, lifted": score(lifted > 0.5),
        "like two points": score(two > 0.5),
        "in a box": score(boxed > 0.5),
    }


def written(points) -> str:
    """Points (row, column) as points editors write them."""
    return json.dumps([{"x": column, "y": row} for row, column in points])


def with_correction(first: tuple[int, int], found: np.ndarray, thing: np.ndarray) -> tuple[list, list]:
    """Positive and negative points after a second click, into the larger of what is missing and what is too much."""
    missing, too_much = thing & ~found, found & ~thing
    if missing.sum() >= too_much.sum():
        return ([first, interior(missing)] if missing.any() else [first]), []
    return [first], [interior(too_much)]
