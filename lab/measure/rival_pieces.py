"""Pieces of DiffSeg and DiffCut in EmerDiff's draft: whose features, and whose way to segments, on tuning pictures.

Whatever finds the segments on the grid, they are drawn along the picture's borders as preset `draft` draws them.
Every way is tried with several thresholds; shown is the best of those that make few enough segments.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.nodes.host import unet
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, read_features
from emerdiff.nodes.steps.values import Features, LowResMasks, Trajectory, size_of
from torch import Tensor

from measure.beds import Bed
from measure.log import Row
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from measure.rival_thresholds import DIVERGENCES, FIGURES, four, line, segments
from reference import diffcut, diffseg
from reference.rivals import DIFFCUT_TIMESTEP, attention_maps, encoder_output, see

GRANULARITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MOST = 56  # segments of one picture; a setting that makes more makes too many, and is not scored
POWERS, COSTS = (5.0, 10.0, 20.0), (0.7, 0.8, 0.85, 0.9, 0.95)

Way = tuple[str, str, str, Tensor]  # features, way, setting, masks [1, K, h, w]


def measured(pipeline: Pipeline, seen: Pictured, _) -> list[Row]:
    """Every way to segments on one picture, drafted; ways that come to the same segments are scored once."""
    _, trajectory = pipeline.features(seen.image, 0)
    known: dict[bytes, Row] = {}

    def scored(masks: Tensor) -> Row:
        if masks.shape[1] > MOST:
            return {"segments": masks.shape[1]}
        key = masks.numpy().tobytes()
        if key not in known:
            labels = drafted(pipeline, seen.image, trajectory, masks)
            known[key] = {**seen.scores(labels), "segments": len(np.unique(labels))}
        return known[key]

    ways = itertools.chain(by_features(pipeline, seen.image, trajectory), by_maps(pipeline, trajectory))
    return [{"features": of, "way": way, "case": case, **scored(masks)} for of, way, case, masks in ways]


def drafted(pipeline: Pipeline, image: np.ndarray, trajectory: Trajectory, masks: Tensor) -> np.ndarray:
    maps = pipeline.maps(image, trajectory, LowResMasks(masks, size_of(trajectory.latent)), "draft")
    return assemble_masks(maps, image=torch.from_numpy(image)[None]).labels[0].numpy()


def by_features(pipeline: Pipeline, image: np.ndarray, trajectory: Trajectory) -> Iterator[Way]:
    """(features, way, setting, masks [1, K, h, w]) of every kind of features."""
    for name, features in every_features(pipeline, image, trajectory).items():
        read = Features(features[None], size_of(trajectory.latent))
        number = pipeline.bed.segments
        yield name, "k-means", str(number), cluster_features(read, number).masks
        for granularity in GRANULARITIES:
            yield name, "cuts", f"{granularity:g}", cluster_features(read, 0, granularity=granularity).masks
        for power in POWERS:
            weights = diffcut.affinity(features.flatten(0, 1), power)
            for cost in COSTS:
                labels = torch.from_numpy(diffcut.parts(weights, cost)).reshape(features.shape[:2])
                yield name, "DiffCut's cuts", f"{power:g}, {cost:g}", as_masks(labels)


def by_maps(pipeline: Pipeline, trajectory: Trajectory) -> Iterator[Way]:
    maps = diffseg.aggregated(attention_maps(pipeline.source, trajectory.latent))
    for threshold in DIVERGENCES:
        labels = diffseg.proposals(maps, threshold).argmax(0)
        yield "attention maps", "DiffSeg's merging", f"{threshold:g}", as_masks(labels)


def as_masks(labels: Tensor) -> Tensor:
    """Labels [h, w] as masks [1, K, h, w], one for each number that is there."""
    return (labels.unique()[:, None, None] == labels).float()[None]


def every_features(pipeline: Pipeline, image: np.ndarray, trajectory: Trajectory) -> dict[str, Tensor]:
    """[h, w, C] of each kind; all but DiffCut's own are to be had from the nodes."""
    source, side = pipeline.source, min(trajectory.working_size)
    encoder = [layer for layer in unet.cross_attention_layers(source.model) if layer.block == "input"][-1]
    readings = {
        "queries, output": ROBUST,
        "queries, output, at half cells": ROBUST._replace(dense=True),
        "queries, encoder, t = 50": ROBUST._replace(timestep=DIFFCUT_TIMESTEP, layer=str(encoder)),
    }
    larger = resize_maps(torch.from_numpy(image).movedim(-1, 0), (2 * image.shape[0], 2 * image.shape[1]))
    twice, _ = pipeline.features(larger.movedim(0, -1).numpy(), 0, 2 * side, ROBUST)
    return {
        **{name: read_features(source, trajectory, reading).features[0] for name, reading in readings.items()},
        "queries, output, twice the side": twice.features[0],
        "DiffCut's": encoder_output(source, trajectory.latent),
        "DiffCut's, twice the side": encoder_output(source, see(source, image, side, 2).latent),
    }


def table(rows: list[Row], bed: Bed) -> str:
    """A line per features and way, at the setting that is best of those that make few enough segments."""
    lines = [
        f"{bed.name}, {len({(row['kind'], row['key']) for row in rows})} pictures of the tuning half; drafts, each way "
        f"at its best setting of those that make at most {bed.segments} segments on the mean.",
        "",
        f"| features, way, setting | mean of four | {' | '.join(FIGURES.values())} | segments |",
        "|---" * (3 + len(FIGURES)) + "|",
    ]
    ways: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        ways.setdefault((row["features"], row["way"]), {}).setdefault(row["case"], []).append(row)
    for (features, way), cases in ways.items():
        whole = {case: group for case, group in cases.items() if all(row["segments"] <= MOST for row in group)}
        few = {case: group for case, group in whole.items() if segments(group) <= bed.segments}
        if few:
            best = max(few, key=lambda case: four(few[case]).mean())
            lines.append(line(f"{features}, {way}, {best}", few[best]))
    return "\n".join(lines) + "\n"
