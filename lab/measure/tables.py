"""Tables of rows, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from measure.log import NAMED_BY, Row, item_of, mean_and_error


def markdown(title: str, heads: Sequence[str], lines: Iterable[Iterable[object]]) -> str:
    """A title, and a table with a line for each of `lines`."""
    written = [f"| {' | '.join(map(str, line))} |" for line in (heads, *lines)]
    return "\n".join([title, "", written[0], "|---" * len(heads) + "|", *written[1:]]) + "\n"


def grouped(rows: Iterable[Row], *fields: str) -> Iterator[tuple[tuple, list[Row]]]:
    """The rows by the values of these fields, in the order in which these first come."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(field) for field in fields), []).append(row)
    yield from groups.items()


def means(rows: list[Row], title: str, by: Sequence[str], figures: Mapping[str, str] | None = None) -> str:
    """A line a group: how many items it is of, and mean +- standard error of its figures over them.

    `figures` are fields and what they are called, all that the first row has unless given; `by` are fields.
    """
    shown = figures or {name: name for name in rows[0] if name not in (*NAMED_BY, *by)}
    lines = []
    for values, group in grouped(rows, *by):
        items = [each for _, each in grouped(group, *NAMED_BY)]
        means = {name: np.array([np.mean([row[name] for row in item]) for item in items]) for name in shown}
        lines.append([*values, len(items), *(mean_and_error(each) for each in means.values())])
    return markdown(f"{title}; mean +- standard error.", [*by, "count", *shown.values()], lines)


def paired(rows: Iterable[Row], references: Iterable[Row], figure: str) -> np.ndarray:
    """How far rows are ahead of the reference of the same item, where there is one."""
    of_item = {item_of(row): row[figure] for row in references}
    return np.array([row[figure] - of_item[item_of(row)] for row in rows if item_of(row) in of_item])
