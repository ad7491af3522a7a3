"""What the tools around the segmentation do to scenes whose true regions are known.

  --part lifting    rough masks of an object, lifted: IoU with the object before and after
  --part unusual    masks of all but an object, of two, of specks, blurs, the sky, lifted: IoU before and after
  --part clicks     an object pointed at: the segment under a click, what is like one point, like two, in a box
  --part merging    segments merged: how many, and how well they agree with the true regions
  --part refining   pictures of four times the working size: masks enlarged with and without the picture's borders

On any small model. Every scene's scores are appended to demo_output/tools/MODEL PART.jsonl, so an interrupted run
goes on where it stopped; the table is made from all of them.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.merge import merge_alike
from sklearn.metrics import adjusted_rand_score

from measure.clicks import clicked
from measure.log import Row
from measure.masks import METRICS
from measure.metrics import iou, scores
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.rough import rough_masks, unusual_masks
from measure.study import Study
from measure.tables import means
from small_model.scenes import SIZE, scene
from small_model.settings import SEGMENTS

SMALLEST_OBJECT = 60 / SIZE**2  # of a picture; less is left of an object that others cover
ENLARGED = 4  # times the working size
FINER = 2  # times as many segments as elsewhere, for merging
TARGETS, SIMILARITIES = (14, 10, 7, 5), (0.95, 0.9, 0.85, 0.8)


def main() -> None:
    study = Study("tools", __doc__, Scenes(), "tools.md")
    study.add_parts(PARTS)
    for part in study.options.part:
        study.measure(PARTS[part], partial(means, by=("case",)), part=part)


# --- lifting ---


def lifting(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """The two objects drawn first, under five rough masks: IoU of the rough mask, and of the lifted ones."""
    true = scene(seed, pipeline.bed.size)
    objects = [true.labels == number for number in range(2, 4)]
    cases = [
        (kind, rough, region)
        for region in objects
        if region.mean() >= SMALLEST_OBJECT
        for kind, rough in rough_masks(region, seed).items()
    ]
    rough = torch.from_numpy(np.stack([case[1] for case in cases]))
    known = pipeline.known(true.image, seed)
    presets = [name for name in ("draft", "fast", "balanced") if pipeline.bed.pushes or name == "draft"]
    lifted = {name: pipeline.lift(true.image, rough, name, known).numpy() > 0.5 for name in presets}
    rows = []
    for number, (kind, given, region) in enumerate(cases):
        row = {"case": kind, "rough mask": iou(given > 0.5, region)}
        rows.append(row | {f"lifted, {name}": iou(masks[number], region) for name, masks in lifted.items()})
    return rows


def unusual(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """Masks that are no single object's, or hardly, one by one: IoU of the rough mask, and of the lifted one."""
    true, preset = scene(seed, pipeline.bed.size), "fast" if pipeline.bed.pushes else "draft"
    known, rows = pipeline.known(true.image, seed), []
    for kind, (rough, region) in unusual_masks(true.labels).items():
        lifted = pipeline.lift(true.image, torch.from_numpy(rough)[None], preset, known)[0].numpy() > 0.5
        before, after = (iou(each, region) for each in (rough > 0.5, lifted))
        rows.append({"case": kind, "rough mask": before, f"lifted, {preset}": after, "gain": after - before})
    return rows


# --- merging ---


def merging(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """Twice the usual number of segments, as they are and merged."""
    true = scene(seed, pipeline.bed.size)
    features, trajectory = pipeline.features(true.image, seed, reading=ROBUST)
    low_res = cluster_features(features, FINER * SEGMENTS)
    segmentation = assemble_masks(pipeline.maps(true.image, trajectory, low_res, "fast"))
    cases = {"as they are": segmentation}
    cases |= {f"merged to {target}": merge_alike(segmentation, features, target, 0.0) for target in TARGETS}
    cases |= {f"merged down to a cosine of {s}": merge_alike(segmentation, features, 0, s) for s in SIMILARITIES}
    return [{"case": case, **agreement(each.labels[0].numpy(), true.labels)} for case, each in cases.items()]


def agreement(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How many segments there are, and how they agree with the true regions one by one and put together."""
    pairs = [[iou(labels == number, truth == region) for number in np.unique(labels)] for region in np.unique(truth)]
    together = scores(labels, truth)
    return {
        "segments": float(len(np.unique(labels))),
        "entropy inside a true region, bits": conditional_entropy(labels, truth),
        "entropy of the truth inside a segment, bits": conditional_entropy(truth, labels),
        "ARI": float(adjusted_rand_score(truth.ravel(), labels.ravel())),
        "IoU of the best single segment": float(np.mean([max(each) for each in pairs])),
        "mIoU, segments put together": together["miou"],
    }


def conditional_entropy(of: np.ndarray, given: np.ndarray) -> float:
    """H(of | given) in bits per pixel: 0 where every region of `given` lies in one of `of`."""
    joint = np.zeros((int(given.max()) + 1, int(of.max()) + 1))
    np.add.at(joint, (given.ravel().astype(int), of.ravel().astype(int)), 1 / of.size)
    share = joint / np.maximum(joint.sum(1, keepdims=True), 1e-12)
    return float(-(joint * np.log2(np.maximum(share, 1e-12))).sum())


# --- refining ---


def refining(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """Pictures four times as large as what the model sees of them; boundaries within so many of their own pixels."""
    true = scene(seed, ENLARGED * pipeline.bed.size)
    features, trajectory = pipeline.features(true.image, seed, reading=ROBUST)
    low_res = cluster_features(features, SEGMENTS)
    rows = []
    for preset in ("balanced", "fast"):
        maps = pipeline.maps(true.image, trajectory, low_res, preset)
        for guide, name in ((None, "bilinear"), (torch.from_numpy(true.image)[None], "along the picture's borders")):
            segmentation = assemble_masks(maps, image=guide)
            figures = scores(segmentation.labels[0].numpy(), true.labels)
            rows.append({"case": f"{preset}, {name}", **{name: figures[key] for key, name in METRICS.items()}})
    return rows


# --- clicks ---


def clicks(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """The two objects drawn first, pointed at in every way."""
    true = scene(seed, pipeline.bed.size)
    objects = [true.labels == number for number in range(2, 4)]
    return [
        {"case": preset, **clicked(pipeline, true.image, region, partial(iou, region), preset)}
        for preset in ("draft", "fast")
        for region in objects
        if region.mean() >= SMALLEST_OBJECT
    ]


PARTS = {"lifting": lifting, "unusual": unusual, "clicks": clicks, "merging": merging, "refining": refining}
