"""Equal things that touch are parted at their neck, and nothing else is."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments.regions import split_parts
from emerdiff.emerdiff_ops.segments.touching import split_things
from scipy import ndimage

from small_model.scenes import HELD_OUT, scene, touching_scene

Y, X = np.mgrid[:150, :160]


def disc(x, y, radius):
    return np.hypot(X - x, Y - y) < radius


def things(*shapes) -> int:
    """How many things a segment of these shapes falls into, in a picture of which it is a small part."""
    labels = torch.from_numpy(np.any(shapes, 0).astype(np.int16))
    split = split_things(labels)
    return len(split[labels == 1].unique())


def test_equal_discs_are_parted_where_they_touch_and_every_pixel_goes_to_its_own():
    left, right = disc(50, 60, 25), disc(98, 60, 25)
    split = split_things(torch.from_numpy((left | right).astype(np.int16))).numpy()
    assert len(np.unique(split)) == 3 and len(np.unique(split[~left & ~right])) == 1
    assert len(np.unique(split[left & ~right])) == len(np.unique(split[right & ~left])) == 1
    assert things(left, right, disc(74, 101, 25)) == 3
    assert things(left, right, disc(50, 101, 17)) == 2, "what is less deep goes to the nearest"


@pytest.mark.parametrize(
    "shapes",
    [
        (disc(50, 60, 25),),
        (disc(50, 60, 25), disc(80, 60, 25)),  # the neck is wide
        (disc(50, 60, 25), disc(90, 60, 16)),  # one is less deep: a head, a handle
        ((abs(X - 50) < 25) & (abs(Y - 60) < 25), disc(92, 60, 18)),  # one is smaller
        (disc(50, 60, 25) & ~disc(50, 60, 18),),  # a ring
        (disc(50, 60, 3.5), disc(57, 60, 3.5)),  # too thin to be judged
        (np.hypot(X - 25, (Y - 60) * 3) < 25, np.hypot(X - 73, (Y - 60) * 3) < 25),  # long: mostly of the background
        (disc(50, 145, 25), disc(98, 145, 25)),  # much of it on the picture's frame
    ],
)
def test_one_thing_stays_one(shapes):
    assert things(*shapes) == 1


def test_a_large_picture_is_parted_as_a_small_one_and_to_the_pixel():
    small = (disc(50, 60, 25) | disc(98, 60, 25)).astype(np.int16)
    large = split_things(torch.from_numpy(small.repeat(7, 0).repeat(7, 1))).numpy()
    assert len(np.unique(large)) == 3
    border = (large[420, :-1] != large[420, 1:]).nonzero()[0]
    assert abs(border[1] - 74.5 * 7) < 7, "in the middle of the neck"


def test_more_than_half_of_the_pairs_in_scenes_are_parted_and_no_other_scene_changes():
    parted = total = 0
    for seed in range(HELD_OUT, HELD_OUT + 10):
        ordinary = torch.from_numpy(scene(seed, 256).labels.astype(np.int16))
        assert torch.equal(split_things(ordinary), split_parts(ordinary))
        labels = touching_scene(seed, 256).labels
        kinds = np.where(labels > 1, labels // 2 + 1, labels)  # a pair shares its number
        split = split_things(torch.from_numpy(kinds.astype(np.int16))).numpy()
        assert len(np.unique(split[labels < 2])) == sum(ndimage.label(kinds == each)[1] for each in (0, 1))
        for first in range(2, int(labels.max()), 2):
            total += 1
            most = [np.bincount(split[labels == each]).argmax() for each in (first, first + 1)]
            parted += most[0] != most[1]
    assert parted > 0.7 * total
