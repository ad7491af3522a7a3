"""Tables of rows: groups, means over items, and pairs of rows of one item."""

import numpy as np

from measure.tables import grouped, markdown, means, paired

ROWS = [
    {"seed": 1, "case": "a", "score": 0.2},
    {"seed": 1, "case": "a", "score": 0.4},
    {"seed": 2, "case": "a", "score": 0.5},
    {"seed": 1, "case": "b", "score": 0.1},
]


def test_a_table_has_a_title_a_head_and_its_lines():
    assert markdown("What", ["x", "y"], [[1, "a"]]) == "What\n\n| x | y |\n|---|---|\n| 1 | a |\n"


def test_groups_come_in_the_order_of_their_first_rows():
    assert [(values, len(group)) for values, group in grouped(ROWS, "case")] == [(("a",), 3), (("b",), 1)]


def test_an_item_counts_once_however_many_rows_it_has():
    """Of "a" the items have .3 and .5: mean .4, standard error .1."""
    lines = means(ROWS, "What", ("case",)).splitlines()
    assert lines[0] == "What; mean +- standard error." and lines[2] == "| case | count | score |"
    assert lines[4:] == ["| a | 2 | 0.400 +- 0.100 |", "| b | 1 | 0.100 |"]


def test_figures_are_called_as_asked():
    assert means(ROWS, "", ("case",), {"score": "points"}).splitlines()[2] == "| case | count | points |"


def test_rows_are_held_against_those_of_the_same_item():
    ahead = paired([row for row in ROWS if row["seed"] == 2 or row["case"] == "b"], ROWS[1:2], "score")
    assert np.allclose(ahead, [-0.3])
