"""Drafts of the small models beside each other, a transformer's among them: no lifting, on pictures of four kinds.

Each model's draft as EmerDiff Segment Image makes it, its clusters enlarged bilinearly, and k-means on the picture's
own colours. `--half tuning` for choices. Scores are appended to demo_output/transformers/drafts HALF.jsonl, so an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, read
from measure.metrics import bilinear_labels
from measure.pictures import Pictured, add_arguments, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision

start_host()
load_pack()

from measure import beds
from measure.pipeline import Pipeline

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "transformers"
SHOWN = {"miou": "mIoU", "ari": "ARI", "f2": "boundary F, 2 px"}


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log = OUTPUT / f"drafts {options.half}.jsonl"
    with torch.inference_mode():
        for name in options.model:
            bed = beds.BEDS[name]
            measure = partial(measured, Pipeline(PRECISIONS[fastest_precision()], bed))
            measure_missing_pictures(log, options, bed.size, measure, [name], lambda row: row["model"])
    report = table(read(log))
    (OUTPUT / "drafts.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=beds.BEDS, nargs="+", default=list(beds.BEDS))
    add_arguments(parser, "reporting", 12)
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured, models: list[str]) -> Iterator[Row]:
    _, _, low_res, draft = pipeline.segmented(seen.image, "draft")
    clusters = bilinear_labels(low_res.masks[0], seen.image.shape[:2])
    ways = {"draft": draft, "clusters, bilinear": clusters, "colours": pipeline.colour_labels(seen.image)}
    for way, labels in ways.items():
        yield {"model": models[0], "way": way, **seen.scores(labels)}


def table(rows: list[Row]) -> str:
    """Of the pictures that all models have been measured on."""
    seen = [
        {(row["kind"], row["key"]) for row in rows if row["model"] == name} for name in {row["model"] for row in rows}
    ]
    rows = [row for row in rows if (row["kind"], row["key"]) in set.intersection(*seen)]
    lines = [
        "Mean +- standard error. Each model sees the scenes at its own size; colours are of the same pictures.",
        "",
        f"| pictures | model | | {' | '.join(SHOWN.values())} |",
        "|---" * (3 + len(SHOWN)) + "|",
    ]
    for kind, model, way in dict.fromkeys((row["kind"], row["model"], row["way"]) for row in rows):
        group = [row for row in rows if (row["kind"], row["model"], row["way"]) == (kind, model, way)]
        cells = [mean_and_error(np.array([row[name] for row in group])) for name in SHOWN]
        lines.append(f"| {kind}, {len(group)} | {model} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
