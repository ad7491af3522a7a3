"""Clusters and classes matched one to one, so that as many pixels as can be agree (Kuhn 1955): by picture, or once.

counts [n, S]: how many pixels of class i lie in cluster j; what is ignored is not counted. Published scripts match
every class, also one that does not occur: clusters beyond those that occur are then false positives of absent classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class Tally(NamedTuple):
    """True positives, false positives and false negatives of every class, in pixels: [n], or of P pictures [P, n]."""

    hits: np.ndarray
    extra: np.ndarray
    missed: np.ndarray


def contingency(labels: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """counts [classes, S] of a label map [H, W], numbers 0..S-1, against the truth [H, W]; below 0 is ignored."""
    clusters, known = int(labels.max()) + 1, truth >= 0
    pairs = truth[known] * clusters + labels[known]
    return np.bincount(pairs, minlength=classes * clusters).reshape(classes, clusters)


def matching(counts: np.ndarray) -> np.ndarray:
    """The cluster of every class [n]; numbers from S on where there are too few, as if empty ones followed."""
    classes, clusters = counts.shape
    padded = np.pad(counts, ((0, 0), (0, max(0, classes - clusters))))
    return linear_sum_assignment(padded, maximize=True)[1]


def tallied(counts: np.ndarray, clusters: np.ndarray) -> Tally:
    """Of counts, by the cluster that stands for every class; pixels of clusters that stand for none are only missed."""
    n = len(counts)
    padded = np.pad(counts, ((0, 0), (0, max(0, int(clusters.max()) + 1 - counts.shape[1]))))
    hits = padded[np.arange(n), clusters]
    return Tally(hits, padded.sum(0)[clusters] - hits, padded.sum(1) - hits)


def picture_by_picture(counts: Sequence[np.ndarray]) -> Tally:
    """Every picture with a matching of its own, as DiffSeg and DiffCut score."""
    return stacked([tallied(each, matching(each)) for each in counts])


def without_surplus(tally: Tally) -> Tally:
    """Clusters that have no pixel in common with the class that they were matched to are nobody's false positives."""
    return tally._replace(extra=np.where(tally.hits > 0, tally.extra, 0))


def all_at_once(counts: Sequence[np.ndarray], clusters: Sequence[np.ndarray], number: int) -> Tally:
    """One matching for all pictures, whose segments [S] have been put into `number` clusters that all share."""
    shared = [grouped(each, groups, number) for each, groups in zip(counts, clusters)]
    matched = matching(np.sum(shared, axis=0))
    return stacked([tallied(each, matched) for each in shared])


def grouped(counts: np.ndarray, groups: np.ndarray, number: int) -> np.ndarray:
    """counts [n, S] by the group [S] of every cluster: [n, number]."""
    return counts @ (groups[:, None] == np.arange(number)).astype(counts.dtype)


def with_background_by_truth(counts: np.ndarray, background: int) -> np.ndarray:
    """DiffCut's: all clusters that no class of the foreground wants are merged into one, by the truth: [n, S + 1].

    Classes are matched without the background; a class that shares no pixel with any matched cluster wants none.
    """
    wide = np.pad(counts, ((0, 0), (0, max(0, len(counts) - 1 - counts.shape[1]))))
    foreground = np.delete(wide, background, 0)
    clusters = matching(foreground)
    wanted = np.isin(np.arange(wide.shape[1]), clusters[foreground[:, clusters].max(1) > 0])
    return np.column_stack([np.where(wanted, wide, 0), wide[:, ~wanted].sum(1)])


def stacked(tallies: Sequence[Tally]) -> Tally:
    return Tally(*(np.stack(each) for each in zip(*tallies)))
