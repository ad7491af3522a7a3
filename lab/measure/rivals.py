"""EmerDiff beside other ways to segment, on the same model and pictures: DiffSeg, DiffCut, clusters of colours.

  --part methods     every method on pictures that nothing was chosen on, unless --half says otherwise
  --part thresholds  DiffSeg's and DiffCut's thresholds, tried on tuning pictures
  --part pieces      DiffCut's features and its way to a number of segments in EmerDiff's draft, on tuning pictures

DiffSeg and DiffCut take the thresholds that were chosen for the small model, and the published ones where a method is
named so and on any checkpoint (measure/rival_methods.py). The others make as many segments as suit the model, but
emerdiff-cuts, a draft that decides by itself. Seconds are of all processor cores together. Scores are appended to
demo_output/rivals/MODEL PART.jsonl, so an interrupted run goes on where it stopped. No picture is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, publish, read
from measure.pictures import KINDS, Pictured, add_arguments, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision, synchronize

start_host()
load_pack()

from measure import beds, rival_pieces, rival_thresholds
from measure.pipeline import Pipeline
from measure.rival_thresholds import FIGURES
from protocols import methods

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "rivals"
PAGE = ROOT / "docs" / "evaluation.md"
MEASURED_AGAINST = "emerdiff-draft"
SELDOM = ("emerdiff-thorough",)  # measured only when asked for

METHODS = {name.replace(" ", "-"): method for name, method in methods.METHODS.items()}


# --- measuring ---


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    bed = beds.chosen(options)
    with torch.inference_mode():
        report = PARTS[options.part](Pipeline(PRECISIONS[options.precision], bed), options)
    (OUTPUT / f"{bed.name} {options.part}.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    usual = [name for name in METHODS if name not in SELDOM]
    parser.add_argument("--part", choices=PARTS, default="methods")
    parser.add_argument("--method", choices=METHODS, nargs="+", default=usual, metavar="NAME", help=", ".join(METHODS))
    add_arguments(parser, "reporting", 10)
    parser.add_argument("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    options = parser.parse_args()
    options.half = options.half if options.part == "methods" else "tuning"
    options.precision = options.precision or fastest_precision()
    return options


def compare_methods(pipeline: Pipeline, options: argparse.Namespace) -> str:
    log = OUTPUT / f"{pipeline.bed.name} methods {options.half}.jsonl"
    measure, size = partial(measured, pipeline, options.precision), pipeline.bed.size
    measure_missing_pictures(log, options, size, measure, options.method, lambda row: row["method"])
    return table(read(log), f"{pipeline.bed.name}, pictures of the {options.half} half")


def try_thresholds(pipeline: Pipeline, options: argparse.Namespace) -> str:
    log = OUTPUT / f"{pipeline.bed.name} thresholds.jsonl"
    measure, size = partial(rival_thresholds.measured, pipeline), pipeline.bed.size
    measure_missing_pictures(log, options, size, measure, rival_thresholds.SETTINGS, lambda row: row["case"])
    return rival_thresholds.table(read(log), pipeline.bed)


def try_pieces(pipeline: Pipeline, options: argparse.Namespace) -> str:
    log = OUTPUT / f"{pipeline.bed.name} pieces.jsonl"
    measure = partial(rival_pieces.measured, pipeline)
    measure_missing_pictures(log, options, pipeline.bed.size, measure)
    return rival_pieces.table(read(log), pipeline.bed)


PARTS = {"methods": compare_methods, "thresholds": try_thresholds, "pieces": try_pieces}


def measured(pipeline: Pipeline, precision: str, seen: Pictured, names: Iterable[str]) -> Iterator[Row]:
    for name in names:
        begin = clock()
        with FlopCounterMode(display=False) as counter:
            labels = METHODS[name](pipeline, seen.image)
        seconds = clock() - begin
        costs = {"seconds": seconds, "flops": counter.get_total_flops(), "segments": len(np.unique(labels))}
        yield {"method": name, "precision": precision, **seen.scores(labels), **costs}


def clock() -> float:
    """Seconds: of a graphics card's wall, else of all processor cores together, so that a shared machine can tell."""
    synchronize()
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


# --- the report ---


def table(rows: list[Row], what: str) -> str:
    """A section for all kinds of pictures together and one for each: a line a method, with a precision of its own."""
    usual = {row["precision"] for row in rows if row["method"] == MEASURED_AGAINST}
    shown = f"{' | '.join(FIGURES.values())} | segments | seconds | GFLOP"
    lines = [
        f"{what}; mean, and in brackets how far ahead of {MEASURED_AGAINST} on the same pictures, +- standard error.",
        "",
        f"| pictures | method | count | {shown} |",
        "|---" * (6 + len(FIGURES)) + "|",
    ]
    for kind in ("all", *KINDS):
        of_kind = [row for row in rows if kind in ("all", row["kind"])]
        against = {(row["kind"], row["key"]): row for row in of_kind if row["method"] == MEASURED_AGAINST}
        for name in METHODS:
            group = [row for row in of_kind if row["method"] == name]
            if group:
                called = ", ".join([name, *sorted({row["precision"] for row in group} - usual)])
                lines.append(f"| {kind} | {called} | {len(group)} | {' | '.join(cells(group, against))} |")
    return "\n".join(lines) + "\n"


def cells(group: list[Row], against: dict) -> Iterator[str]:
    """The figures of one method, then the mean number of segments, the median of the seconds and the mean GFLOP."""
    pairs = [(row, against[row["kind"], row["key"]]) for row in group if (row["kind"], row["key"]) in against]
    for figure in FIGURES:
        mean = f"{np.mean([row[figure] for row in group]):.3f}"
        ahead = np.array([row[figure] - other[figure] for row, other in pairs])
        yield f"{mean} ({mean_and_error(ahead, '+')})" if ahead.any() else mean
    yield f"{np.mean([row['segments'] for row in group]):.1f}"
    yield f"{np.median([row['seconds'] for row in group]):.2f}"
    yield f"{np.mean([row['flops'] for row in group]) / 1e9:.0f}"


if __name__ == "__main__":
    main()
