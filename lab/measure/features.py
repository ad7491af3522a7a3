"""What reading features with surroundings, mirrored and at half cells does to coarse masks, on pictures of four kinds.

No lifting: the coarse masks enlarged bilinearly, and along the picture's borders by the guided filter. Beside them
k-means on the picture's own colours. `--half reporting` for pictures that no choice was made on. Every picture's scores
are appended to demo_output/features/MODEL.jsonl, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, publish, read
from measure.metrics import bilinear_labels
from measure.pictures import Pictured, add_arguments, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision

start_host()
load_pack()

from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.emerdiff_ops.guided import guided_filter
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, Reading

from measure import beds
from measure.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "features"
PAGE = ROOT / "docs" / "robustness.md"
READINGS = {
    "plain": PLAIN,
    "surroundings": Reading(surroundings=0.25),
    "mirrored": Reading(mirrored=True),
    "dense": Reading(dense=True),
    "surroundings, mirrored": Reading(surroundings=0.25, mirrored=True),
    "surroundings, dense": Reading(surroundings=0.25, dense=True),
    "surroundings, mirrored, dense": Reading(surroundings=0.25, mirrored=True, dense=True),
    "surroundings 0.125, mirrored": Reading(surroundings=0.125, mirrored=True),
    "surroundings 0.5, mirrored": Reading(surroundings=0.5, mirrored=True),
}
RADIUS = 8  # pixels at working size, of the guided filter
SHOWN = {"miou": "mIoU", "ari": "ARI", "ari_parts": "ARI, segments as they are", "f2": "boundary F, 2 px"}


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    bed = beds.chosen(options)
    log = OUTPUT / f"{bed.name} {options.half}.jsonl"
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    with torch.inference_mode():
        measure = partial(measured, Pipeline(PRECISIONS[fastest_precision()], bed))
        wanted = (*options.readings, "colours")
        measure_missing_pictures(log, options, bed.size, measure, wanted, lambda row: row["case"])
    report = table(read(log))
    log.with_suffix(".md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    add_arguments(parser, "tuning", 20)
    parser.add_argument("--readings", choices=READINGS, nargs="+", default=list(READINGS))
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured, names: list[str]) -> Iterator[Row]:
    for name in names:
        for way, labels in labelled(pipeline, seen, name).items():
            yield {"case": name, "way": way, **seen.scores(labels)}


def labelled(pipeline: Pipeline, seen: Pictured, name: str) -> dict[str, np.ndarray]:
    if name == "colours":
        return {"bilinear": pipeline.colour_labels(seen.image)}
    return coarse_labels(pipeline, seen, READINGS[name])


def coarse_labels(pipeline: Pipeline, seen: Pictured, reading: Reading) -> dict[str, np.ndarray]:
    """Label maps [H, W] of the features' clusters, enlarged in both ways."""
    features, trajectory = pipeline.features(seen.image, 0, reading=reading)
    masks = cluster_features(features, pipeline.bed.segments).masks[0]
    size, work = seen.image.shape[:2], trajectory.working_size
    picture = resize_maps(torch.from_numpy(seen.image).movedim(-1, 0), work).movedim(0, -1)
    along = guided_filter(resize_maps(masks, work), picture, RADIUS)
    return {"bilinear": bilinear_labels(masks, size), "along the borders": bilinear_labels(along, size)}


def table(rows: list[Row]) -> str:
    """Per kind and way, every reading: mean, and the gain over the features read plainly, picture by picture."""
    lines = [
        "Mean, and the gain over features read plainly and enlarged bilinearly, paired, +- standard error.",
        "",
        f"| pictures | enlarged | features read | {' | '.join(SHOWN.values())} |",
        "|---" * (3 + len(SHOWN)) + "|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        plain = {row["key"]: row for row in of_kind if (row["case"], row["way"]) == ("plain", "bilinear")}
        for way, case in dict.fromkeys((row["way"], row["case"]) for row in of_kind):
            group = [row for row in of_kind if (row["way"], row["case"]) == (way, case) and row["key"] in plain]
            cells = map(partial(cell, group, plain), SHOWN)
            lines.append(f"| {kind}, {len(group)} | {way} | {case} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(group: list[Row], plain: dict[str, Row], metric: str) -> str:
    values = np.array([row[metric] for row in group])
    gains = values - np.array([plain[row["key"]][metric] for row in group])
    return f"{values.mean():.3f} ({mean_and_error(gains, '+')})"


if __name__ == "__main__":
    main()
