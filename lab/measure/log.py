"""Figures as they come: what is missing is measured, every row kept in a file, tables are put into pages."""

import re
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from journal import append, read

NAMED_BY = ("model", "seed", "kind", "key")  # a photograph's "seed" is its name
Row = dict[str, Any]  # some of these, then what the row is of, then figures


def measure_missing(
    log: Path,
    items: Iterable[Row],
    measure: Callable[[Row, list], Iterable[Row]],
    wanted: Iterable[Hashable] = (None,),
    name: Callable[[Row], Hashable] = lambda row: None,
    minutes: float = float("inf"),
) -> None:
    """Append measure(item, missing) to the log, for every item that it has not all of `wanted` of.

    An item is the fields that name it, which its rows begin with; name(row) says which of `wanted` a row is of. No item
    is started after so many minutes; run again to go on.
    """
    wanted, end = list(wanted), time.monotonic() + 60 * minutes
    done = {(item_of(row), name(row)) for row in read(log)}
    for item in items:
        missing = [each for each in wanted if (item_of(item), each) not in done]
        if missing and time.monotonic() < end:
            begin = time.monotonic()
            append(log, *({**item, **row} for row in measure(item, missing)))
            print(*item.values(), f" {time.monotonic() - begin:.1f} s", flush=True)


def item_of(row: Row) -> tuple:
    """What a row, or an item, is named by."""
    return tuple(row.get(name) for name in NAMED_BY)


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
