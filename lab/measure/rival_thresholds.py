"""The thresholds of DiffSeg and DiffCut on a model, tried on tuning pictures.

What counts is the mean of four figures, of settings that make no more segments than the other methods are given: the
figures that join segments to the truth only grow with their number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache

import numpy as np
from torch import Tensor

from measure.beds import Bed
from measure.log import Row, standard_error
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from reference import diffseg
from reference.rivals import CutSettings, Seen, attention_maps, cut, encoder_output, labelled, see

FIGURES = {"miou": "mIoU", "ari": "ARI", "ari_parts": "ARI, segments as they are", "f2": "boundary F, 2 px"}
DIVERGENCES = (0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.07, 0.1, 0.2, 0.5, 1.1)
POWERS = (5.0, 10.0, 20.0, 40.0)
CUTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SCALES = (1.0, 2.0)
SETTINGS: dict[str, float | CutSettings] = {
    **{f"DiffSeg, {threshold:g}": threshold for threshold in DIVERGENCES},
    **{
        f"DiffCut, {power:g}, {threshold:g}, {scale:g}": CutSettings(power, threshold, scale)
        for scale, power, threshold in itertools.product(SCALES, POWERS, CUTS)
    },
}
SHOWN = 6  # of each method, the best


def measured(pipeline: Pipeline, seen: Pictured, cases: list[str]) -> list[Row]:
    """Some of SETTINGS on one picture; settings that come to the same segments are scored once."""
    known: dict[bytes, Row] = {}

    def scored(labels: np.ndarray) -> Row:
        key = labels.tobytes()
        if key not in known:
            known[key] = {**seen.scores(labels), "segments": len(np.unique(labels))}
        return known[key]

    return [{"case": case, **scored(labels)} for case, labels in segmented(pipeline, seen.image, cases)]


def segmented(pipeline: Pipeline, image: np.ndarray, cases: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each setting with its labels [H, W]; the network runs once for each way to look."""

    @cache
    def look(scale: float) -> Seen:
        return see(pipeline.source, image, pipeline.bed.size, scale)

    @cache
    def maps() -> Tensor:
        return diffseg.aggregated(attention_maps(pipeline.source, look(1.0).latent))

    @cache
    def features(scale: float) -> Tensor:
        return encoder_output(pipeline.source, look(scale).latent)

    for case in cases:
        setting = SETTINGS[case]
        if isinstance(setting, CutSettings):
            yield case, labelled(cut(features(setting.scale), setting), look(setting.scale))
        else:
            yield case, labelled(diffseg.proposals(maps(), setting), look(1.0))


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
