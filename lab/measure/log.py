"""Figures as they come: what is missing is measured, every row kept in a file, tables are put into pages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from journal import append, read

Row = dict[str, Any]  # "seed" (or a photograph's name), then what the row is of, then figures


def measure_missing(
    log: Path,
    seeds: Iterable[Any],
    measure: Callable[[Any, list], list[Row]],
    wanted: Iterable[Hashable] = (None,),
    name: Callable[[Row], Hashable] = lambda row: None,
    minutes: float = float("inf"),
) -> None:
    """Append measure(seed, missing) to the log, for every seed that it has not all of `wanted` of.

    name(row) says which of `wanted` a row is of. No seed is started after so many minutes; run again to go on.
    """
    done, end = {(row["seed"], name(row)) for row in read(log)}, time.monotonic() + 60 * minutes
    for seed in seeds:
        missing = [each for each in wanted if (seed, each) not in done]
        if missing and time.monotonic() < end:
            begin = time.monotonic()
            append(log, *({"seed": seed, **row} for row in measure(seed, missing)))
            print(f"picture {seed}  {time.monotonic() - begin:.1f} s", flush=True)


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def mean_and_error(values: np.ndarray, sign: str = "") -> str:
    """ "0.527 +- 0.010", of one value "0.527"; `sign` "+" for gains, which have one always."""
    error = f" +- {standard_error(values):.3f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.3f}{error}"


def publish(page: Path, *folders: Path) -> None:
    """Replace what stands between `<!-- FOLDER/NAME -->` and `<!-- end -->` in the page by FOLDER's NAME.md."""
    text = page.read_text()
    for report in sorted(path for folder in folders for path in folder.glob("*.md")):
        begin = f"<!-- {report.parent.name}/{report.stem} -->"
        section = re.compile(re.escape(begin) + ".*?<!-- end -->", re.DOTALL)
        text = section.sub(lambda _: f"{begin}\n\n{report.read_text()}\n<!-- end -->", text)  # noqa: B023
    page.write_text(text)
