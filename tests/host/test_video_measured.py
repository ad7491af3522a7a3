"""The command video: its ways on cases that are known, its rows, its table."""

from types import SimpleNamespace

import pytest

from measure.beds import SMALL_MODEL
from measure.video import COLUMNS, SHARED, measured, table, ways_to
from small_model.clips import clip

pytestmark = pytest.mark.once


def test_every_way_is_scored_by_every_column(small):
    known = ways_to(4)
    names = list(known)
    pipeline = SimpleNamespace(source=small, bed=SMALL_MODEL._replace(size=64))
    rows = measured(pipeline, clip(0, 3, 64), names, known)
    assert [row["way"] for row in rows] == names
    assert all(set(COLUMNS) < set(row) and 0 <= row["miou"] <= 1 and row["seconds"] > 0 for row in rows)


def test_the_table_has_means_errors_and_paired_gains():
    def row(seed, way, value):
        return {"seed": seed, "way": way, **dict.fromkeys(COLUMNS, value)}

    rows = [row(1, SHARED, 0.5), row(2, SHARED, 0.7), row(1, "alone", 0.2), row(2, "alone", 0.6)]
    lines = table(rows, "clips").splitlines()
    assert lines[0].startswith("clips; mean")
    assert "| alone | 2 | 0.400 +- 0.200 | " in lines[5] and "| alone | -0.200 +- 0.100 | " in lines[-1]
