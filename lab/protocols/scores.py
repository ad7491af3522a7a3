"""IoU, its mean and pixel accuracy of pictures' tallies [P, n], with standard errors by leaving one picture out."""

from collections.abc import Callable

import numpy as np

from protocols.hungarian import Tally


def summed(tally: Tally) -> Tally:
    """Over the pictures: [n]."""
    return Tally(*(each.sum(0) for each in tally))


def ious(tally: Tally) -> np.ndarray:
    """hits / (hits + extra + missed) of the last axis' classes; NaN where a class neither occurs nor is claimed."""
    union = tally.hits + tally.extra + tally.missed
    return np.divide(tally.hits, union, out=np.full(union.shape, np.nan), where=union > 0)


def mean_iou(tally: Tally) -> np.ndarray:
    """As published: over all classes that occur or are claimed."""
    return mean_of(ious(tally))


def mean_iou_of_present(tally: Tally) -> np.ndarray:
    """Over the classes that occur."""
    return mean_of(np.where(tally.hits + tally.missed > 0, ious(tally), np.nan))


def accuracy(tally: Tally) -> np.ndarray:
    """The share of pixels that are hits."""
    pixels = (tally.hits + tally.missed).sum(-1)
    return np.divide(tally.hits.sum(-1), pixels, out=np.full(np.shape(pixels), np.nan), where=pixels > 0)


def mean_of(values: np.ndarray) -> np.ndarray:
    """The mean of the last axis without NaN; NaN where nothing else is there."""
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0).sum(-1), known.sum(-1)
    return np.divide(total, number, out=np.full(np.shape(number), np.nan), where=number > 0)


def with_error(score: Callable[[Tally], np.ndarray], tally: Tally) -> tuple[float, float]:
    """A score of all pictures together and its standard error, by the jackknife; NaN of fewer than two pictures.

    Pictures change with the matching, concepts and clusters held, so errors do not hold the spread that these have.
    """
    total, number = summed(tally), len(tally.hits)
    value = float(score(total))
    if number < 2:
        return value, float("nan")
    others = score(Tally(*(all_ - each for all_, each in zip(total, tally))))  # [P]
    return value, float(((number - 1) * np.nanvar(others)) ** 0.5)
