"""The thresholds of DiffSeg and DiffCut on a model, tried on tuning pictures.

What counts is the mean of four figures, of settings that make no more segments than the other methods are given: the
figures that join segments to the truth only grow with their number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from measure.beds import Bed
from measure.log import Row, standard_error
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from reference import diffseg
from reference.rivals import CutSettings, attention_maps, cut, encoder_output, labelled, see

FIGURES = {"miou": "mIoU", "ari": "ARI", "ari_parts": "ARI, segments as they are", "f2": "boundary F, 2 px"}
DIVERGENCES = (0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.5, 1.1)
POWERS = (5.0, 10.0, 20.0)
CUTS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97)
SCALES = (1.0, 2.0)
SHOWN = 6  # of each method, the best


def measured(pipeline: Pipeline, seen: Pictured, _) -> list[Row]:
    """Every setting of both on one picture; settings that come to the same segments are scored once."""
    known: dict[bytes, Row] = {}

    def scored(labels: np.ndarray) -> Row:
        key = labels.tobytes()
        if key not in known:
            known[key] = {**seen.scores(labels), "segments": len(np.unique(labels))}
        return known[key]

    return [{"case": case, **scored(labels)} for case, labels in every_setting(pipeline, seen.image)]


def every_setting(pipeline: Pipeline, image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    source, side = pipeline.source, pipeline.bed.size
    seen = see(source, image, side)
    maps = diffseg.aggregated(attention_maps(source, seen.latent))
    for threshold in DIVERGENCES:
        yield f"DiffSeg, {threshold:g}", labelled(diffseg.proposals(maps, threshold), seen)
    for scale in SCALES:
        seen = see(source, image, round(scale * side))
        features = encoder_output(source, seen.latent)
        for power, threshold in itertools.product(POWERS, CUTS):
            settings = CutSettings(power, threshold, scale)
            yield f"DiffCut, {power:g}, {threshold:g}, {scale:g}", labelled(cut(features, settings), seen)


def table(rows: list[Row], bed: Bed) -> str:
    """Of both methods the best settings that make few enough segments, and the published one."""
    lines = [
        f"{bed.name}, {len({(row['kind'], row['key']) for row in rows})} pictures of the tuning half; the best {SHOWN} "
        f"of those that make at most {bed.segments} segments on the mean, and the published one.",
        "",
        f"| DiffSeg, tau; DiffCut, alpha, tau, scale | mean of four | {' | '.join(FIGURES.values())} | segments |",
        "|---" * (3 + len(FIGURES)) + "|",
    ]
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    for method, published in (("DiffSeg", "DiffSeg, 1.1"), ("DiffCut", "DiffCut, 10, 0.5, 2")):
        few = [case for case, group in cases.items() if case.startswith(method) and segments(group) <= bed.segments]
        best = sorted(few, key=lambda case: -four(cases[case]).mean())[:SHOWN]
        lines += [line(case, cases[case]) for case in dict.fromkeys([*best, published])]
    return "\n".join(lines) + "\n"


def line(case: str, group: list[Row]) -> str:
    means = (f"{np.mean([row[figure] for row in group]):.3f}" for figure in FIGURES)
    mean = f"{four(group).mean():.3f} +- {standard_error(four(group)):.3f}"
    return f"| {case} | {mean} | {' | '.join(means)} | {segments(group):.1f} |"


def four(group: list[Row]) -> np.ndarray:
    """Of every picture the mean of the figures."""
    return np.array([np.mean([row[figure] for figure in FIGURES]) for row in group])


def segments(group: list[Row]) -> float:
    return float(np.mean([row["segments"] for row in group]))
