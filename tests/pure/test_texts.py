"""Selections, points and boxes in every form that is understood: one list of cases, which the widget's tests share."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments.labels import fingerprint
from emerdiff.emerdiff_ops.segments.texts import Part, parse_boxes_in, parse_lists, parse_points_in, split_fingerprint
from hypothesis import given
from hypothesis import strategies as st

CASES = json.loads((Path(__file__).parent.parent / "texts.json").read_text())
BOX = {"x": 10, "y": 20, "width": 30, "height": 40}
CORNERS = (10, 20, 40, 60)


def check(case: dict, parse) -> None:
    """What a case gives, or the sentence that it is refused with."""
    if "error" not in case:
        assert [[list(each) if isinstance(each, tuple) else each for each in own] for own in parse()] == case["lists"]
        return
    with pytest.raises(ValueError, match=re.escape(case["error"])) as error:
        parse()
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("case", CASES["selections"], ids=lambda case: ascii(case["text"]))
def test_a_selection(case):
    def written() -> list:
        lists = parse_lists(case["text"], case["counts"])
        return [[str(pick) if isinstance(pick, Part) else pick for pick in own] for own in lists]

    check(case, written)


@pytest.mark.parametrize("case", CASES["points"], ids=lambda case: ascii(case["text"]))
def test_points(case):
    check(case, lambda: parse_points_in(case["sizes"], case["text"], case.get("first_alone", False)))


@pytest.mark.parametrize("case", CASES["boxes"], ids=lambda case: ascii(case["text"]))
def test_boxes(case):
    check(case, lambda: parse_boxes_in(case["sizes"], case["text"]))


# --- numbers of segments


@given(st.sets(st.integers(0, 40)), st.data())
def test_selections_survive_being_written_in_any_way(numbers, data):
    pieces = [f"{n}" for n in data.draw(st.permutations(sorted(numbers)))]
    blank = st.text(" \t\n", max_size=2)
    text = ",".join(data.draw(blank) + piece + data.draw(blank) for piece in pieces)
    assert parse_lists(text + data.draw(st.sampled_from(["", ",", " , "])), [41]) == [sorted(numbers)]


def test_clipping_leaves_out_what_does_not_exist_and_nothing_else():
    assert parse_lists("3, 8-12, 40-50; 2; 5", [10, 10], clip=True) == [[3, 8, 9], [2]]
    assert parse_lists("3:7:8, 10:1:1", [10], clip=True) == [[Part(3, 7, 8)]]
    for text in ("x", "9-7"):
        with pytest.raises(ValueError, match=text):
            parse_lists(text, [10, 10], clip=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3, 7-9 @1a2b3c4d", ("3, 7-9", "1a2b3c4d")),
        ("3@1A2B3C4D ", ("3", "1a2b3c4d")),
        ("3, 7-9", ("3, 7-9", None)),
        ("3 @1a2b3c4", ("3 @1a2b3c4", None)),  # seven digits
        ("", ("", None)),
    ],
)
def test_a_fingerprint_at_the_end_is_split_off(text, parts):
    assert split_fingerprint(text) == parts


def test_a_fingerprint_tells_label_maps_apart_by_values_and_shape():
    labels = torch.arange(12, dtype=torch.int16).reshape(1, 3, 4)
    others = [labels.flip(-1), labels.reshape(1, 4, 3), labels.repeat(2, 1, 1), labels + 1]
    assert len({fingerprint(each) for each in (labels, *others)}) == 5
    assert fingerprint(labels.clone()) == fingerprint(labels.mT.contiguous().mT) == fingerprint(labels)
    assert split_fingerprint(f"1 @{fingerprint(labels)}") == ("1", fingerprint(labels))


# --- points and boxes


@given(st.lists(st.tuples(st.floats(1, 31.99), st.floats(1, 15.99))))
def test_points_are_rounded_down(points):
    text = json.dumps([{"x": x, "y": y} for x, y in points])
    assert parse_points_in([(32, 16)], text) == [[(int(x), int(y)) for x, y in points]]


@pytest.mark.parametrize(
    "value",
    [
        BOX,  # core's Bounding Box
        [BOX],
        [[BOX]],  # core's detectors, one list a picture
        [CORNERS],  # KJNodes' Points Editor and SAM2 nodes
        CORNERS,  # one SEG's bbox of the Impact Pack
        tuple(np.array(CORNERS)),
        [[CORNERS]],
        np.array([CORNERS], np.float32),
        torch.tensor(CORNERS),
        torch.tensor([[*CORNERS, 0.9]]),
    ],
)
def test_every_form_of_a_box_that_comes_through_a_link_is_the_same_box(value):
    assert parse_boxes_in([(64, 80)], value) == [[CORNERS]]
    assert parse_boxes_in([(64, 80)] * 3, value) == [[CORNERS]] * 3


@pytest.mark.parametrize("value", [None, [], {}, [{}], [[{}]], [[]], torch.empty(0, 4)])
def test_no_boxes_are_no_boxes(value):
    """[{}] is what KJNodes' Points Editor gives before a box is drawn."""
    assert parse_boxes_in([(64, 80)] * 2, value) == [[], []]


@pytest.mark.parametrize("box", [1, None, [1, 2, 3], ["1", 2, 3, 4], (0, 0, float("nan"), 4), (0, 0, True, 4), [[BOX]]])
def test_a_box_of_another_shape_is_named(box):
    with pytest.raises(ValueError, match="box 2 of the list must look like") as error:
        parse_boxes_in([(64, 80)], [BOX, box])
    assert len(str(error.value)) < 300
