"""The skeleton of every measurement: arguments, a model, rows that are kept as they come, a table, a page.

A measurement says what it measures on (a Material), which rows it makes of one item of that, and what table these come
to. Rows are kept in demo_output/NAME/ as they come: the same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Callable, Hashable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from measure import beds
from measure.log import Row, measure_missing, publish, read
from measure.pipeline import Pipeline
from measure.timing import PRECISIONS, fastest_precision

ROOT = Path(__file__).resolve().parents[2]
Table = Callable[[list[Row], str], str]  # of all rows, under a title


class Material(Protocol):
    """What is measured on; `called` is the plural. Where an option "half" is among its arguments, it is of that."""

    @property
    def called(self) -> str: ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def items(self, options: argparse.Namespace) -> Iterable[Row]:
        """What names each item, as the first fields of its rows; raises NoPhotographs."""

    def load(self, item: Row, size: int, options: argparse.Namespace) -> Any:
        """What is measured, `size` pixels high where its size is free; raises NoPhotographs."""


class Study:
    """A measurement, on a `model` or the one that is asked for. Its page is docs/measured/NAME.md.

    Rows of `several` models go into one log and table, and name theirs.
    """

    def __init__(
        self,
        name: str,
        description: str | None,
        material: Material,
        *,
        several: bool = False,
        model: beds.Bed | None = None,
    ):
        self.name, self.description = name, description or ""
        self.material, self.several, self.model = material, several, model
        self.parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add = self.parser.add_argument
        if not model:
            beds.add_arguments(self.parser)
        material.add_arguments(self.parser)
        add("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
        add("--minutes", type=float, default=1e9, help="start nothing after so many; run again to go on")
        add("--output", type=Path, default=ROOT / "demo_output" / name, help="a folder for rows and tables")
        add("--publish", action="store_true", help=f"measure nothing, write what there is to docs/measured/{name}.md")

    @cached_property
    def options(self) -> argparse.Namespace:
        """The arguments; ends the command where these only ask for what there is."""
        options = self.parser.parse_args()
        options.output.mkdir(parents=True, exist_ok=True)
        if options.publish:
            publish(ROOT / "docs" / "measured" / f"{self.name}.md", self.name, self.description, options.output)
            sys.exit()
        options.precision = options.precision or fastest_precision()
        return options

    @cached_property
    def bed(self) -> beds.Bed:
        return self.model or beds.chosen(self.options.model, self.options.checkpoint)

    @cached_property
    def pipeline(self) -> Pipeline:
        with torch.inference_mode():
            return Pipeline(PRECISIONS[self.options.precision], self.bed)

    def measure(
        self,
        measured: Callable[[Pipeline, Any, list], Iterable[Row]],
        table: Table,
        wanted: Iterable[Hashable] = (None,),
        name: Callable[[Row], Hashable] = lambda row: None,
        part: str = "",
        material: Material | None = None,
    ) -> list[Row]:
        """Log and report all rows: measured(pipeline, item, missing) of items that have not all of `wanted` yet.

        name(row) says which of `wanted` a row is of. `material` where a part has one of its own.
        """
        options, material = self.options, material or self.material
        model = {"model": self.bed.name} if self.several else {}

        def load_and_measure(item: Row, missing: list) -> Iterable[Row]:
            return measured(self.pipeline, material.load(item, self.bed.size, options), missing)

        log = options.output / f"{self.stem(part)}.jsonl"
        items = ({**model, **item} for item in material.items(options))
        with torch.inference_mode():
            measure_missing(log, items, load_and_measure, wanted, name, options.minutes)
        rows = read(log)
        if rows:
            self.report(table(rows, self.title(material)), part)
        return rows

    def report(self, text: str, part: str = "") -> None:
        (self.options.output / f"{self.stem(part)}.md").write_text(text)
        print(f"{part}\n\n{text}" if part else text, flush=True)

    def stem(self, part: str) -> str:
        """The name of a part's files."""
        named = "" if self.several else self.bed.name, getattr(self.options, "half", ""), part
        return " ".join(filter(None, named))

    def title(self, material: Material) -> str:
        half = getattr(self.options, "half", "")
        of_half = f"{material.called} of the {half} half" if half else material.called
        return of_half if self.several else f"{self.bed.name}, {of_half}"
