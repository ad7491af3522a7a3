"""EmerDiff beside other ways to segment, on the same model and pictures: DiffSeg, DiffCut, clusters of colours.

DiffSeg and DiffCut take the thresholds that were chosen for the small model, and the published ones where a method is
named so and on any checkpoint (measure/rival_methods.py). The others make as many segments as suit the model, but
emerdiff-cuts, a draft that decides by itself. Seconds are of all processor cores together. Scores are appended to
demo_output/rivals/MODEL HALF.jsonl, so an interrupted run goes on where it stopped. No picture is written.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from operator import itemgetter

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from measure.log import Row, mean_and_error
from measure.metrics import FIGURES
from measure.pictures import KINDS, Pictured, Pictures
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import markdown, paired
from measure.timing import synchronize
from protocols import methods

MEASURED_AGAINST = "emerdiff-draft"

METHODS = {name.replace(" ", "-"): method for name, method in methods.METHODS.items()}


def main() -> None:
    study = Study("rivals", __doc__, Pictures("reporting", 10))
    study.parser.add_argument(
        "--method", choices=METHODS, nargs="+", default=[*METHODS], metavar="NAME", help=", ".join(METHODS)
    )
    measure = partial(measured, precision=study.options.precision)
    study.measure(measure, table, study.options.method, itemgetter("method"))


def measured(pipeline: Pipeline, seen: Pictured, names: Iterable[str], precision: str) -> Iterator[Row]:
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


def table(rows: list[Row], title: str) -> str:
    """A section for all kinds of pictures together and one for each: a line a method, with a precision of its own."""
    usual, lines = {row["precision"] for row in rows if row["method"] == MEASURED_AGAINST}, []
    for kind in ("all", *KINDS):
        of_kind = [row for row in rows if kind in ("all", row["kind"])]
        against = [row for row in of_kind if row["method"] == MEASURED_AGAINST]
        for name in METHODS:
            group = [row for row in of_kind if row["method"] == name]
            if group:
                called = ", ".join([name, *sorted({row["precision"] for row in group} - usual)])
                lines.append([kind, called, len(group), *cells(group, against)])
    title = f"{title}; mean, and how far ahead of {MEASURED_AGAINST} on the same pictures, +- standard error."
    heads = ["pictures", "method", "count", *FIGURES.values(), "segments", "seconds", "GFLOP"]
    return markdown(title, heads, lines)


def cells(group: list[Row], against: list[Row]) -> Iterator[str]:
    """The figures of one method, then the mean number of segments, the median of the seconds and the mean GFLOP."""
    for figure in FIGURES:
        mean, ahead = f"{np.mean([row[figure] for row in group]):.3f}", paired(group, against, figure)
        yield f"{mean} ({mean_and_error(ahead, '+')})" if ahead.any() else mean
    yield f"{np.mean([row['segments'] for row in group]):.1f}"
    yield f"{np.median([row['seconds'] for row in group]):.2f}"
    yield f"{np.mean([row['flops'] for row in group]) / 1e9:.0f}"
