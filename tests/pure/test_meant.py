"""Which mask a point means: the cues by hand, and what they prefer."""

import pytest
import torch
from emerdiff.emerdiff_ops.meant import cues, plausibility


def square(begin: int, end: int) -> torch.Tensor:
    """A mask of 12 x 12 pixels, True in these rows and columns."""
    inside = (torch.arange(12) >= begin) & (torch.arange(12) < end)
    return inside[:, None] & inside


THING, PART, MORE, EVERYTHING = square(2, 9), square(4, 6), square(1, 11), square(0, 12)
PICTURE = THING[..., None].expand(-1, -1, 3) / 2  # a grey square on black
MIDDLE, CORNER = (5, 5), (8, 2)


def test_a_point_is_as_deep_as_its_nearest_outside_is_far():
    def depths(point):
        return cues([THING, PART, EVERYTHING], THING, PICTURE, point)[:, 0].tolist()

    assert depths(MIDDLE) == pytest.approx([4 / 7, 1 / 2, 6 / 12])
    assert depths(CORNER) == pytest.approx([1 / 7, 0, 3 / 12])


def test_changes_are_those_at_the_outline_relative_to_the_picture_s():
    steep, corner = 0.25, 0.25 * 2**0.5  # central differences of a step of a half
    mean = (20 * steep + 4 * corner + 28 * steep) / 144  # inside the square's outline, and around it
    at_outline = cues([THING, PART, EVERYTHING], THING, PICTURE, MIDDLE)[:, 1].tolist()
    assert at_outline == pytest.approx([(20 * steep + 4 * corner) / 24 / mean, 0, 0])
    plain = cues([THING], THING, torch.zeros(12, 12, 3), MIDDLE)
    assert plain[0, 1] == 0, "a picture of one colour"
    one_row = cues([THING[5:6]], THING[5:6], PICTURE[5:6], (5, 0))
    assert one_row[0, 1] == pytest.approx((2 / 7) / (4 / 12))


def test_likeness_is_the_overlap_with_what_is_like_the_point():
    assert cues([THING, PART, EVERYTHING], THING, PICTURE, MIDDLE)[:, 2].tolist() == pytest.approx(
        [1, 4 / 49, 49 / 144]
    )


def test_a_thing_with_a_border_around_the_point_is_preferred_to_a_part_and_to_more():
    masks = [PART, THING, MORE, EVERYTHING]
    for like in masks:
        assert plausibility(masks, like, PICTURE, [MIDDLE]).argmax() == 1
    assert plausibility([torch.zeros(12, 12, dtype=torch.bool), THING], THING, PICTURE, [MIDDLE]).argmax() == 1


def test_the_more_points_there_are_the_more_their_likeness_counts():
    masks = [THING, MORE]
    assert [int(plausibility(masks, MORE, PICTURE, [MIDDLE] * count).argmax()) for count in (1, 20)] == [0, 1]
