"""Pictures, masks and points at the edge of what can be meant: the obvious comes out, or a sentence."""

import json

import numpy as np
import pytest
import torch
from comparing import scene_picture, smooth_picture
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, Reading, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.pick import pick_by_points
from emerdiff.nodes.steps.segment import segment_pictures
from scipy import ndimage

from measure.metrics import iou
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once
DENSE = ROBUST._replace(dense=True)
FAST = Push("fast", relative=True)


@pytest.fixture(scope="module")
def true():
    return scene(HELD_OUT + 2)


@pytest.fixture(scope="module")
def image():
    return scene_picture(2)


@pytest.fixture(scope="module")
def known(small, image):
    with torch.inference_mode():
        return Known(0, 0, *extract_features(small, image, reading=ROBUST))


# --- pictures ---


@pytest.mark.parametrize("preset", ["draft", "fast", "paper"])
def test_a_picture_of_one_pixel_a_side_after_scaling_goes_through_every_step(small, preset):
    picture = smooth_picture(64, 500)
    features, trajectory = extract_features(small, picture, resolution=1, reading=DENSE)
    assert trajectory.working_size == (1, 8)
    labels = segment_pictures(small, picture, trajectory, cluster_features(features, 2), preset).labels
    assert labels.shape == (1, 64, 500)
    mask = torch.zeros(1, 64, 500)
    mask[..., :250] = 1
    soft = lift_mask(small, picture, mask, Push(preset, relative=True), Known(0, 1, features, trajectory)).soft
    assert soft.shape == mask.shape and soft.isfinite().all()
    picked = pick_by_points(features, trajectory, picture, '[{"x": 3, "y": 3}]', "")
    assert picked.shape == mask.shape and picked[0, 3, 3] > 0.5


def test_of_a_picture_that_is_one_cell_no_two_segments_are_made(small):
    picture = smooth_picture(64, 64)
    features, trajectory = extract_features(small, picture, resolution=1)
    assert trajectory.working_size == (1, 1) and features.features.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match="2 segments cannot be made of 1 feature vectors"):
        cluster_features(features, 2)
    labels = segment_pictures(small, picture, trajectory, cluster_features(features, 0), "fast").labels
    assert not labels.any()


def test_with_0_segments_a_flat_picture_is_refused_and_features_that_are_the_same_are_one_segment(small, known, image):
    with pytest.raises(ValueError, match="one flat colour"):
        extract_features(small, torch.full((1, 128, 128, 3), 0.5))
    same = known.features._replace(features=known.features.features[:, :1, :1].expand_as(known.features.features))
    low_res = cluster_features(same, 0)
    assert low_res.counts == (1,)
    for preset in ("draft", "fast", "balanced"):
        found = segment_pictures(small, image, known.trajectory, low_res, preset)
        assert found.counts == (1,) and not found.labels.any()


# --- masks ---


def test_masks_that_are_nowhere_or_everywhere_are_refused_alone_and_come_back_beside_others(
    small, image, true, known, caplog
):
    nowhere, everywhere, box = torch.zeros(3, 128, 128)
    everywhere += 1
    box[ndimage.find_objects((true.labels == 2).astype(int))[0]] = 1
    for flat in (nowhere, everywhere):
        with pytest.raises(ValueError, match="the same everywhere, so there is nothing to lift"):
            lift_mask(small, image, flat[None], FAST, known)
    found = lift_mask(small, image, torch.stack([nowhere, box, everywhere]), FAST, known)
    assert torch.equal((found.soft[[0, 2]] > 0.5).float(), torch.stack([nowhere, everywhere]))
    assert "masks [0, 2] are the same everywhere and come back as they are" in caplog.text
    assert not found.elsewhere
    alone = lift_mask(small, image, box[None], FAST, known).soft[0] > 0.5
    assert ((found.soft[1] > 0.5) == alone).float().mean() > 0.99, "they take nothing from the one between them"


def unusual_masks(labels):
    """Rough masks of what is no single thing, or hardly one, each with the region that it is of.

    Labels [H, W] are a scene's, whose sky is 0 and whose things go from 2 on; float32 [H, W] in 0..1, and bool.
    """
    largest, second = 2 + np.bincount(labels.ravel())[2:].argsort()[::-1][:2]
    thing, two, sky = labels == largest, np.isin(labels, (largest, second)), labels == 0
    grown, both = (ndimage.binary_dilation(region, iterations=4) for region in (thing, two))
    inside, blurred = ndimage.distance_transform_edt(thing), ndimage.gaussian_filter(thing.astype(float), 4)
    masks = {
        "all but a thing grown by 4 pixels": (~grown, ~thing),
        "two things grown by 4 pixels": (both, two),
        "a speck of 3 pixels in a thing": (inside >= inside.max() - 1.5, thing),
        "a thing blurred by 4 pixels": (blurred / blurred.max(), thing),
        "the sky shrunk by 6 pixels": (ndimage.binary_erosion(sky, iterations=6), sky),
    }
    return {kind: (rough.astype(np.float32), region) for kind, (rough, region) in masks.items()}


@pytest.mark.parametrize("preset", ["fast", "draft"])
def test_no_unusual_mask_becomes_worse(small, image, true, known, preset):
    """Negative space, two things, a speck, a blur, most of the picture."""
    before, after = {}, {}
    for kind, (rough, wanted) in unusual_masks(true.labels).items():
        found = lift_mask(small, image, torch.from_numpy(rough)[None], Push(preset, relative=True), known)
        before[kind], after[kind] = (iou(np.asarray(each) > 0.5, wanted) for each in (rough, found.soft[0]))
        assert not found.elsewhere
    assert all(after[kind] > before[kind] - 0.01 for kind in before), (before, after)
    assert np.mean([*after.values()]) > np.mean([*before.values()]) + 0.1


# --- points and boxes ---


@pytest.fixture(scope="module")
def padded(small, image):
    """A picture of 121 x 110 pixels, seen as 124 x 112, and what was read of it."""
    picture = image[:, :121, :110]
    with torch.inference_mode():
        return *extract_features(small, picture, reading=ROBUST), picture


@pytest.mark.parametrize("point", [(111, 60), (60, 122), (-1, 60)])
def test_a_point_on_the_padding_is_outside(padded, point):
    text = json.dumps([{"x": point[0], "y": point[1]}])
    for points in ((text, ""), ("", text)):
        with pytest.raises(ValueError, match="lies outside the image: x must be within 0-109 and y within 0-120"):
            pick_by_points(*padded, *points)


def test_boxes_on_the_padding_hold_no_pixel_and_those_that_reach_there_end_at_the_border(padded):
    with pytest.raises(ValueError, match="holds no pixel of the picture of 110 x 121"):
        pick_by_points(*padded, "", "", [[110, 0, 112, 121]])
    reaching, ending = (pick_by_points(*padded, "", "", [[60, 60, *corner]]) for corner in ((112, 124), (110, 121)))
    assert torch.equal(reaching, ending)


def test_what_was_read_of_another_number_of_pictures_is_refused(small, padded, image):
    features, trajectory, picture = padded
    point = '[{"x": 3, "y": 3}]'
    two = extract_features(small, picture.repeat(2, 1, 1, 1), reading=Reading())
    with pytest.raises(ValueError, match="2 pictures of 110 x 121 were segmented; connect the image"):
        pick_by_points(*two, picture, point, "")
    with pytest.raises(ValueError, match="connect both, from one"):
        pick_by_points(two[0], trajectory, picture, point, "")
    mask = torch.ones(1, 8, 8).triu()
    with pytest.raises(ValueError, match="2 pictures of 110 x 121 were segmented; connect the image"):
        lift_mask(small, picture, mask, FAST, Known(0, 0, *two))
