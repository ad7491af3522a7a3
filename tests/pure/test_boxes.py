"""Boxes around masks, and the segments inside boxes."""

import pytest
import torch
from emerdiff.emerdiff_ops.segments.boxes import box_around, boxes_of_segments, crop_region, select_in_boxes
from hypothesis import given
from hypothesis import strategies as st

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
