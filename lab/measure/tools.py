"""What the tools around the segmentation do to scenes whose true regions are known.

  --part lifting    rough masks of an object, lifted: IoU with the object before and after
  --part unusual    masks of all but an object, of two, of specks, blurs, the sky, lifted: IoU before and after
  --part clicks     an object pointed at: the segment under a click, what is like one point, like two, in a box
  --part merging    segments merged: how many, and how well they agree with the true regions
  --part refining   pictures of four times the working size: masks enlarged with and without the picture's borders

On either small model. Every scene's scores are appended to demo_output/tools/MODEL PART.jsonl, so an interrupted run
goes on where it stopped; the table is made from all of them. `--publish` puts the tables into docs/tools.md.
"""

from __future__ import annotations

import argparse
import functools
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, measure_missing, publish, read
from measure.metrics import iou, scores
from measure.rough import rough_masks, unusual_masks
from measure.timing import PRECISIONS, fastest_precision
from small_model.scenes import HELD_OUT, SIZE, scene
from small_model.settings import SEGMENTS

start_host()
load_pack()

from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.merge import merge_alike

from measure import beds
from measure.clicks import clicked
from measure.masks import METRICS
from measure.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "tools"
PAGE = ROOT / "docs" / "tools.md"
SMALLEST_OBJECT = 60 / SIZE**2  # of a picture; less is left of an object that others cover
ENLARGED = 4  # times the working size
FINER = 2  # times as many segments as elsewhere, for merging
TARGETS, SIMILARITIES = (14, 10, 7, 5), (0.95, 0.9, 0.85, 0.8)


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    seeds = range(options.first, options.first + options.scenes)
    with torch.inference_mode():
        bed = beds.chosen(options)
        pipeline = functools.cache(lambda: Pipeline(PRECISIONS[fastest_precision()], bed))
        for name in options.part:
            log, part = OUTPUT / f"{bed.name} {name}.jsonl", PARTS[name]
            measure_missing(log, seeds, lambda seed, _: part(pipeline(), seed), minutes=options.minutes)  # noqa: B023
            report = table(read(log))
            log.with_suffix(".md").write_text(report)
            print(f"{name}\n\n{report}", flush=True)
    if options.publish:
        publish(PAGE, OUTPUT)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=HELD_OUT, help="seed of the first scene")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no scene after so many; run again to go on")
    parser.add_argument("--publish", action="store_true")
    return parser.parse_args()


def table(rows: list[Row]) -> str:
    """A line per case: mean +- standard error over the scenes, each scene the mean of its rows."""
    figures = [name for name in rows[0] if name not in ("seed", "case")]
    seeds = sorted({row["seed"] for row in rows})
    lines = [
        f"{len(seeds)} scenes from seed {seeds[0]}; mean +- standard error over the scenes.",
        "",
        "| | " + " | ".join(figures) + " |",
        "|---" * (len(figures) + 1) + "|",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        cells = []
        for name in figures:
            by_seed: dict[int, list[float]] = {}
            for row in rows:
                if row["case"] == case:
                    by_seed.setdefault(row["seed"], []).append(row[name])
            means = np.array([np.mean(values) for values in by_seed.values()])
            cells.append(mean_and_error(means))
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


# --- lifting ---


def lifting(pipeline: Pipeline, seed: int) -> list[Row]:
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
    lifted = {name: pipeline.lift(true.image, rough, name, known).numpy() > 0.5 for name in ("fast", "balanced")}
    rows = []
    for number, (kind, given, region) in enumerate(cases):
        row = {"case": kind, "rough mask": iou(given > 0.5, region)}
        rows.append(row | {f"lifted, {name}": iou(masks[number], region) for name, masks in lifted.items()})
    return rows


def unusual(pipeline: Pipeline, seed: int) -> list[Row]:
    """Masks that are no single object's, or hardly, one by one: IoU of the rough mask, and of the lifted one."""
    true = scene(seed, pipeline.bed.size)
    known, rows = pipeline.known(true.image, seed), []
    for kind, (rough, region) in unusual_masks(true.labels).items():
        lifted = pipeline.lift(true.image, torch.from_numpy(rough)[None], "fast", known)[0].numpy() > 0.5
        before, after = (iou(each, region) for each in (rough > 0.5, lifted))
        rows.append({"case": kind, "rough mask": before, "lifted, fast": after, "gain": after - before})
    return rows


# --- merging ---


def merging(pipeline: Pipeline, seed: int) -> list[Row]:
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


def refining(pipeline: Pipeline, seed: int) -> list[Row]:
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


def clicks(pipeline: Pipeline, seed: int) -> list[Row]:
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


if __name__ == "__main__":
    main()
