"""Boxes in the forms of other packs, and the segments inside them."""

import json

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments.boxes import (
    box_around,
    boxes_of_segments,
    crop_region,
    parse_boxes,
    select_in_boxes,
)
from hypothesis import given
from hypothesis import strategies as st

BOX = {"x": 10, "y": 20, "width": 30, "height": 40}
CORNERS = (10, 20, 40, 60)
OTHER = {"x": 0, "y": 0, "width": 5.2, "height": 7, "label": "cat", "score": 0.5, "metadata": {}}  # core's detectors
WIDTH, HEIGHT = 64, 80


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
        json.dumps(BOX),
        json.dumps([list(CORNERS)]),
        [{"x": 10.9, "y": 20.1, "width": 28.6, "height": 39.01}],  # core's are fractions
    ],
)
def test_every_form_of_a_box_is_the_same_box(value):
    assert parse_boxes(value, WIDTH, HEIGHT) == [[CORNERS]]
    assert parse_boxes(value, WIDTH, HEIGHT, pictures=3) == [[CORNERS]] * 3


@pytest.mark.parametrize("value", [None, "", " \n", [], "[]", {}, [{}], [[{}]], [[]], "[{}]"])
def test_no_boxes_are_no_boxes(value):
    """[{}] is what KJNodes' Points Editor gives before a box is drawn."""
    assert parse_boxes(value, WIDTH, HEIGHT, pictures=2) == [[], []]


def test_lists_of_lists_are_per_picture():
    assert parse_boxes([[BOX, OTHER], []], WIDTH, HEIGHT, pictures=2) == [[CORNERS, (0, 0, 6, 7)], []]
    with pytest.raises(ValueError, match="for 2 pictures, but 3 pictures"):
        parse_boxes([[BOX], [OTHER]], WIDTH, HEIGHT, pictures=3)


def test_a_box_is_cut_at_the_pictures_borders():
    assert parse_boxes([(-5, -0.5, 1e6, 3)], WIDTH, HEIGHT) == [[(0, 0, WIDTH, 3)]]


@pytest.mark.parametrize("box", [(64, 0, 70, 9), (10, 20, 10, 60), (30, 40, 10, 60), {**BOX, "height": -1}])
def test_a_box_without_a_pixel_is_named(box):
    with pytest.raises(ValueError, match="box 2, .* holds no pixel of the picture of 64 x 80.*xyxy"):
        parse_boxes([BOX, box], WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "box", [1, None, [1, 2, 3], {"x": 1, "y": 2}, ["1", 2, 3, 4], (0, 0, float("nan"), 4), (0, 0, True, 4), [[BOX]]]
)
def test_a_box_of_another_shape_is_named(box):
    with pytest.raises(ValueError, match="box 2 must look like") as error:
        parse_boxes([BOX, box], WIDTH, HEIGHT)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("text", ["[", "nonsense", "3", '"[]"', "true", "[" * 100_000])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match="boxes must be a"):
        parse_boxes(text, WIDTH, HEIGHT)


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["x", "y", "width", "height"]), inner),
    ).map(json.dumps)
)
def test_any_text_is_boxes_or_a_value_error(text):
    try:
        ((*boxes,),) = parse_boxes(text, 5, 7)
    except ValueError:
        return
    assert all(0 <= x1 < x2 <= 5 and 0 <= y1 < y2 <= 7 for x1, y1, x2, y2 in boxes)


LABELS = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 1, 2, 1], [3, 3, 1, 1, 1], [3, 3, 5, 5, 5]], dtype=torch.int16)


@pytest.mark.parametrize(
    "boxes, numbers",
    [
        ([], []),
        ([(0, 0, 2, 2)], [0]),
        ([(0, 0, 2, 1)], [0]),  # exactly half of 0: none lies in the box, 0 fills it
        ([(2, 0, 4, 3)], [1, 2]),  # five of the eight of 1, all of 2
        ([(2, 0, 3, 3)], [1]),
        ([(3, 1, 4, 2), (0, 2, 2, 4)], [2, 3]),
        ([(0, 1, 4, 3), (3, 1, 4, 2)], [2]),  # 2 alone is mostly inside
        ([(1, 2, 3, 3)], [1]),  # 1 and 3 fill half of it each
        ([(0, 0, 5, 4)], [0, 1, 2, 3, 5]),
    ],
)
def test_segments_mostly_inside_a_box(boxes, numbers):
    assert select_in_boxes(LABELS, boxes) == numbers


def test_the_box_around_a_mask_is_the_smallest_that_holds_it():
    mask = torch.zeros(9, 12)
    assert box_around(mask) is None
    mask[3, 4], mask[5, 10], mask[8, 0] = 0.5, 1, 0.49
    assert box_around(mask) == (4, 3, 11, 6)
    assert box_around(mask, padding=2) == (2, 1, 12, 8)
    assert box_around(torch.ones(9, 12), padding=2) == (0, 0, 12, 9)


@st.composite
def boxes_in_pictures(draw):
    width, height = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))), width, height


@given(boxes_in_pictures(), st.floats(1, 100))
def test_a_crop_region_holds_its_box_and_stays_in_the_picture(picture, factor):
    (x1, y1, x2, y2), width, height = picture
    left, top, right, bottom = crop_region((x1, y1, x2, y2), factor, width, height)
    assert 0 <= left <= x1 and x2 <= right <= width and 0 <= top <= y1 and y2 <= bottom <= height
    assert right - left == min(width, int((x2 - x1) * factor))
    assert bottom - top == min(height, int((y2 - y1) * factor))


def test_a_crop_region_is_centred_where_there_is_room():
    assert crop_region((40, 40, 60, 50), 3.0, 200, 200) == (20, 30, 80, 60)
    assert crop_region((0, 190, 20, 200), 3.0, 200, 200) == (0, 170, 60, 200)
    assert crop_region((40, 40, 60, 50), 1.0, 200, 200) == (40, 40, 60, 50)


@pytest.mark.parametrize("numbers", [1, 5, 300])
def test_the_boxes_of_segments_are_those_around_their_masks(numbers):
    generator = torch.Generator().manual_seed(numbers)
    coarse = torch.randint(numbers, (5, 7), generator=generator).to(torch.int16)
    labels = coarse.repeat_interleave(3, 0).repeat_interleave(4, 1)
    labels[14, 27] = numbers + 3
    found = boxes_of_segments(labels)
    assert found == {number: box_around(labels == number) for number in labels.unique().tolist()}
