"""Labels, masks, selections."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.emerdiff_ops.segments.labels import (
    assign,
    empty_masks,
    fill_masks,
    labels_to_rgb,
    masks_to_labels,
    segment_areas,
)
from emerdiff.emerdiff_ops.segments.selection import select
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def label_maps(count):
    shapes = array_shapes(min_dims=2, max_dims=2, max_side=8)
    return arrays(np.int16, shapes, elements=st.integers(0, count - 1)).map(torch.from_numpy)


LABELS = torch.tensor([[0, 0, 1], [2, 2, 1], [3, 2, 1]], dtype=torch.int16)


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.sampled_from([0, 0.5, 1, 2])))
def test_assign_is_the_argmax_with_ties_to_the_lowest(scores):
    labels = assign(torch.from_numpy(scores))
    assert labels.dtype == torch.int16
    np.testing.assert_array_equal(labels, scores.argmax(0))  # numpy's argmax takes the first of equals


def test_assign_takes_maps_one_at_a_time_and_resizes_them():
    scores = random(5, 6, 7)
    assert torch.equal(assign(iter(scores), (20, 31)), assign(resize_maps(scores, (20, 31))))


def test_assign_holds_few_maps_whatever_their_number():
    alive, most = set(), 0

    class Tracked(torch.Tensor):
        def __del__(self):
            alive.discard(id(self))

    def maps():
        nonlocal most
        for seed in range(40):
            tracked = random(4, 4, seed=seed).as_subclass(Tracked)
            alive.add(id(tracked))
            most = max(most, len(alive))
            yield tracked

    assign(maps(), (8, 8))
    assert 0 < most <= 4


def test_assign_changes_no_score_and_refuses_nan():
    scores = random(3, 4, 4)
    before = scores.clone()
    assign(scores)
    assert torch.equal(scores, before)
    scores[1, 2, 2] = float("nan")
    for size in (None, (9, 9)):
        with pytest.raises(ValueError, match="segment 1 holds NaN"):
            assign(scores, size)


def filled(labels, count):
    masks = empty_masks(len(labels), count, *labels.shape[1:])
    for each in zip(labels, masks):
        fill_masks(*each)
    assert torch.equal(masks, one_hot(labels, count))
    return masks.flatten(0, 1)


@given(label_maps(5))
def test_masks_and_labels_are_two_ways_to_say_the_same(labels):
    labels = torch.stack([labels, labels.flip(0)])
    masks = filled(labels, 5)
    assert masks.shape == (10, *labels.shape[1:]) and masks.dtype == torch.float32
    assert torch.equal(masks.reshape(2, 5, *labels.shape[1:]).sum(1), torch.ones(labels.shape))
    back = masks_to_labels(masks.reshape(2, 5, *labels.shape[1:]))
    assert back.dtype == torch.int16 and torch.equal(back, labels)


@given(label_maps(4))
def test_areas_are_the_means_of_the_masks(labels):
    areas = segment_areas(torch.stack([labels, labels]), 4)
    torch.testing.assert_close(areas, filled(torch.stack([labels, labels]), 4).mean((1, 2)).reshape(2, 4))


def test_a_browser_reads_labels_from_colours_even_if_they_are_a_little_off():
    labels = torch.arange(2**15, dtype=torch.int16).reshape(1, 128, 256)
    colours = labels_to_rgb(labels)
    assert colours.shape == (1, 128, 256, 3) and colours.dtype == torch.uint8
    for off in (-4, 0, 3):
        red, green, blue = ((colours.int() + off) >> 3).unbind(-1)
        assert torch.equal(red + 32 * green + 1024 * blue, labels.int())


@pytest.mark.parametrize(
    "numbers, positive, negative, chosen",
    [
        ([], [], [], set()),
        ([0, 3], [], [], {0, 3}),
        ([0], [(2, 0), (2, 2)], [], {0, 1}),
        ([0, 1, 2], [], [(0, 1)], {0, 1}),
        ([], [(0, 2)], [(0, 2)], set()),
        ([], [], [(2, 1)], {0, 2, 3}),
        ([9], [], [], set()),
    ],
)
@pytest.mark.parametrize("invert", [False, True])
def test_selecting(numbers, positive, negative, chosen, invert):
    pixels = select(LABELS, numbers, positive, negative, invert)
    expected = [[(int(label) in chosen) != invert for label in row] for row in LABELS]
    assert pixels.dtype == torch.bool and pixels.tolist() == expected
