"""The measures of videos against cases computed by hand, and the clips they are taken on."""

import numpy as np
import pytest

from measure.consistency import clip_scores, flicker, picked, picked_iou, video_consistency
from small_model.clips import Course, clip, motion_of


def frames(*rows):
    """Frames one pixel high: [N, 1, W]."""
    return np.array(rows)[:, None]


TRUTH = frames([0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1])
LABELS = frames([5, 5, 5, 7], [5, 6, 7, 7], [5, 6, 7, 7])


def test_consistency_is_that_of_steady_regions_in_every_window():
    # of two frames: first 0, 0, -, 1 of which the second changes: 2/3; then all four stay: 1
    assert video_consistency(LABELS, TRUTH, 2) == pytest.approx((2 / 3 + 1) / 2)
    # of three: pixels 0, 1, 3 are steady, 0 and 3 are called the same throughout
    assert video_consistency(LABELS, TRUTH, 3) == pytest.approx(2 / 3)


def test_a_clip_shorter_than_a_window_has_no_consistency():
    assert np.isnan(video_consistency(LABELS, TRUTH, 4))


def test_windows_without_a_steady_pixel_are_left_out():
    truth = frames([0, 1], [1, 0], [1, 0])
    assert video_consistency(frames([0, 0], [1, 1], [1, 2]), truth, 2) == 0.5


def test_flicker_counts_changes_where_the_truth_stays():
    # steady from frame to frame are 3 and 4 pixels; one of these 7 changes its number
    assert flicker(LABELS, TRUTH) == pytest.approx(1 / 7)
    assert flicker(TRUTH, TRUTH) == 0


def test_segments_are_joined_to_the_truth_once_for_the_whole_clip():
    truth = frames([0, 0, 1, 1], [0, 0, 1, 1])
    swapped = frames([0, 0, 1, 1], [1, 1, 0, 0])  # right in each frame alone; both go to region 0, the lowest of equals
    assert clip_scores(swapped, truth)["miou"] == pytest.approx((0.5 + 0) / 2)
    assert clip_scores(truth + 3, truth)["miou"] == 1


def test_what_is_picked_in_the_first_frame_is_looked_for_in_all():
    truth = frames([0, 0, 2, 2], [0, 2, 2, 0])
    labels = frames([0, 0, 3, 4], [0, 3, 0, 4])
    assert picked(labels[0], truth[0], 2) == [3, 4]
    # 3 and 4 cover 4 pixels, 3 of them right, and miss 1
    assert picked_iou(labels, truth) == pytest.approx(3 / 5)


def test_a_thing_that_no_segment_belongs_to_is_picked_by_what_covers_most_of_it():
    truth, labels = np.array([[0, 0, 0, 2, 2, 1]]), np.array([[6, 6, 6, 6, 6, 1]])
    assert picked(labels, truth, 2) == [6]


def test_no_thing_in_the_first_frame_is_no_figure():
    assert np.isnan(picked_iou(TRUTH, TRUTH))


def test_a_clip_is_its_seed_s_alone_and_every_label_has_a_word():
    one, again, other = clip(3, 5, 48), clip(3, 5, 48), clip(4, 5, 48)
    assert np.array_equal(one.images, again.images) and np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.images, other.images)
    assert one.images.shape == (5, 48, 48, 3) and one.images.dtype == np.float32 and one.labels.dtype == np.uint8
    assert 0 <= one.images.min() and one.images.max() <= 1
    assert set(np.unique(one.labels)) <= set(range(len(one.words)))


@pytest.mark.parametrize("seed", range(4))
def test_things_keep_their_number_and_move_a_little_every_frame(seed):
    motion, made = motion_of(seed), clip(seed, 8, 64)
    places = [[track.at(number) for track in motion.tracks] for number in range(8)]
    for before, after in zip(places, places[1:]):
        assert all(0 < np.hypot(a.x - b.x, a.y - b.y) < 0.02 and a.radius == b.radius for a, b in zip(before, after))
    for number, labels in enumerate(made.labels):
        last = places[number][-1]  # nothing passes in front of what is drawn last
        rows, columns = np.nonzero(labels == len(motion.tracks) + 1)
        middle = np.array([columns.mean(), rows.mean()]) / 64
        assert np.hypot(*(middle - (last.x, last.y))) < 0.05 or min(last.x, last.y, 1 - last.x, 1 - last.y) < 0.14


def test_a_course_turns_back_at_its_ends():
    course = Course(np.array([0.5, 0.5]), np.array([0.1, -0.1]), (0.2, 0.8))
    assert course.at(3) == pytest.approx([0.8, 0.2])
    assert course.at(5) == pytest.approx([0.6, 0.4])
    assert course.at(12) == pytest.approx([0.5, 0.5])  # there and back
