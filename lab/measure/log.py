"""Figures as they come: what is missing is measured, every row kept in a file, each command writes a page."""

import re
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from journal import append, read

NAMED_BY = ("model", "seed", "kind", "key")  # a photograph's "seed" is its name
ABOUT_PAGES = (
    "`--publish` writes this page. [How good, how fast](../how_good.md) has the conclusions.\n"
    "Sections with a commit in their heading were measured by the code of that commit."
)
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


def publish(page: Path, command: str, description: str, folder: Path) -> None:
    """Write the page of a command whole: what it measures, the command line, a section for each report in the folder.

    A section whose report is not in the folder stays as it was.
    """
    before = page.read_text() if page.exists() else ""
    sections = dict(section.split("\n", 1) for section in re.split("^## ", before, flags=re.MULTILINE)[1:])
    sections |= {report.stem: report.read_text() for report in sorted(folder.glob("*.md"))}
    parts = [page_head(command, description), *(f"## {name}\n\n{text.strip()}\n" for name, text in sections.items())]
    page.write_text("\n".join(parts))


def page_head(command: str, description: str) -> str:
    """The beginning of a command's page, with the first paragraph of its description."""
    measured = description.strip().split("\n\n")[0]
    return f"# {command}\n\n{measured}\n\n    python3 lab/run.py {command} [--publish]\n\n{ABOUT_PAGES}\n"
