"""Lifting, merging and assembling with their options, in the real ComfyUI on the small trained model."""

import numpy as np
import pytest
import torch
from comparing import prepare, scene_picture
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.emerdiff_ops.lifting import with_prior
from emerdiff.nodes import steps
from emerdiff.nodes.assemble_masks import EmerDiffAssembleMasks
from emerdiff.nodes.lift_mask import EmerDiffLiftMask
from emerdiff.nodes.steps import extract
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import DifferenceMaps

from measure.metrics import iou
from small_model.scenes import HELD_OUT, scene, touching_scene
from small_model.settings import STRENGTH

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def true():
    return scene(HELD_OUT + 2)


@pytest.fixture(scope="module")
def image():
    return scene_picture(2)


def box_around(region) -> torch.Tensor:
    rows, columns = (torch.from_numpy(region.any(axis)).nonzero() for axis in (1, 0))
    box = torch.zeros(region.shape)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 1
    return box


def lift(small, image, mask, **options):
    return lift_mask(small, image, mask, Push("fast", STRENGTH), Known(**options)).soft


def test_lifted_boxes_are_nearer_to_their_objects(small, true, image):
    regions = [true.labels == number for number in range(2, len(true.words))]
    boxes = torch.stack([box_around(region) for region in regions])
    soft = lift(small, image, boxes)
    assert soft.shape == boxes.shape and soft.dtype == torch.float32 and 0 <= soft.min() and soft.max() <= 1
    before = np.mean([iou(box.numpy() > 0.5, region) for box, region in zip(boxes, regions)])
    after = np.mean([iou(mask.numpy() > 0.5, region) for mask, region in zip(soft, regions)])
    assert after > before + 0.1


@pytest.fixture(scope="module")
def known(small, image):
    with torch.inference_mode():
        return dict(zip(("features", "trajectory"), extract_features(small, image, reading=ROBUST)))


def test_what_comes_in_by_wire_is_not_computed_again(small, true, image, known, monkeypatch):
    box, encode, encoded = box_around(true.labels == 2)[None], extract.encode, []
    expected = lift(small, image, box)
    monkeypatch.setattr(extract, "encode", lambda *inputs: encoded.append(inputs) or encode(*inputs))
    for given, times in ((known, 0), ({"features": known["features"]}, 1), ({"trajectory": known["trajectory"]}, 0)):
        encoded.clear()
        assert torch.equal(lift(small, image, box, **given), expected)
        assert len(encoded) == times  # all readings are of the one latent


def test_a_picked_thing_costs_26_rows_and_several_share_the_unmodulated_run(small, true, image, known):
    masks = torch.stack([torch.from_numpy(true.labels == number).float() for number in (2, 3)])
    assert rows_of(small, lambda source: lift(source, image, masks[:1], **known)) == 26
    assert rows_of(small, lambda source: lift(source, image, masks, **known)) == 2 * 26 - 2


def rows_of(small, work) -> int:
    """How many rows go through the UNet."""
    model, rows = small.model.clone(), []

    def count(apply, arguments):
        rows.append(len(arguments["input"]))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(count)
    work(small._replace(model=model))
    return sum(rows)


def test_what_is_known_of_other_pictures_is_refused(small, image):
    mask = (image[..., 0] > 0.5).float()
    features, trajectory = extract_features(small, image[:, :96], reading=ROBUST._replace(enlarge=False))
    with pytest.raises(ValueError, match="connect the image that was segmented"):
        lift(small, image, mask, features=features, trajectory=trajectory)
    with pytest.raises(ValueError, match="latents of 32 x 24, the trajectory of 1 as 32 x 32: connect both"):
        lift(small, image, mask, features=features)
    with pytest.raises(ValueError, match="holds features; this input takes a trajectory"):
        lift(small, image, mask, features=features, trajectory=features)


def test_masks_of_one_thing_lifted_together_are_those_lifted_alone(small, image, true):
    """They lie on one another, so they do not compete; what they compete with is the same."""
    box = box_around(true.labels == 2)
    together = lift(small, image, torch.stack([box, box]))
    torch.testing.assert_close(together, lift(small, image, box[None]).expand(2, -1, -1), atol=1e-3, rtol=0)


def test_masks_that_touch_compete(small, image, true):
    """Both halves of the picture, lifted together, hardly overlap."""
    halves = torch.zeros(2, 128, 128)
    halves[0, :64], halves[1, 64:] = 1, 1
    together = lift(small, image, halves) > 0.5
    assert (together.sum(0) > 1).float().mean() < 0.02 and (together.sum(0) > 0).float().mean() > 0.9


def test_a_mask_smaller_than_the_window_stays_where_the_model_has_no_opinion():
    spot = torch.zeros(1, 128, 128)
    spot[0, 62:66, 62:66] = 1
    soft = steps.lift.decided(torch.full_like(spot, 0.5), torch.ones(1, 8, 8), spot, torch.zeros(128, 128, 3))
    assert (soft[spot > 0] > 0.5).all() and (soft > 0.5).float().mean() < 0.1


def test_a_result_that_lies_elsewhere_is_said(small, image, caplog, monkeypatch):
    """As where the push is so strong that it spills: here all is turned round."""
    mask = torch.zeros(2, 128, 128)
    mask[0, :64], mask[1, 40:80, 40:80] = 1, 1
    inputs = *small, image, mask, "fast", 0
    EmerDiffLiftMask.execute(*inputs, strength=STRENGTH)
    assert "elsewhere" not in caplog.text
    monkeypatch.setattr(steps.lift, "with_prior", lambda answer, prior: 1 - with_prior(answer, prior))
    EmerDiffLiftMask.execute(*inputs, strength=STRENGTH)
    assert (
        "mask 0, 1: the result agrees with the rough mask no better" in caplog.text
        and "another strength or preset" in caplog.text
    )


def test_a_mask_may_have_any_size_and_comes_back_at_the_pictures(small, image, true):
    picture = torch.nn.functional.interpolate(image.movedim(-1, 1), (200, 131), mode="bilinear").movedim(1, -1)
    rough = torch.nn.functional.interpolate(box_around(true.labels == 2)[None, None], (8, 8), mode="area")[0]
    soft = lift(small, torch.cat([picture, picture], 0).half(), rough, resolution=128)
    assert soft.shape == (2, 200, 131)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(1, 64, 64), "paint over the thing first"),
        (torch.full((1, 8, 8), torch.nan), "NaN"),
        (torch.zeros(0, 64, 64), "no rows or no pixels"),
        (torch.rand(3, 8, 8), "3 masks cannot be dealt out to 2 pictures"),
    ],
)
def test_masks_that_cannot_be_lifted_are_refused(small, image, mask, message):
    with pytest.raises(ValueError, match=message):
        lift(small, image.repeat(2, 1, 1, 1), mask)


@pytest.fixture(scope="module")
def segmented(small, image):
    """(features, difference maps) of the scene."""
    with torch.inference_mode():
        features, trajectory, masks = prepare(small, image, 10)
        return features, modulate_attention(small, trajectory, masks, Push("fast", STRENGTH))


def test_merging_leaves_the_asked_number_and_only_joins(segmented):
    features, maps = segmented
    fine = assemble_masks(maps)
    fewer = merge_alike(fine, features, target=4)
    assert fewer.count == 4 and set(fewer.labels.unique().tolist()) == {0, 1, 2, 3}
    owners = [fewer.labels[fine.labels == number].unique() for number in fine.labels.unique()]
    assert all(len(owner) == 1 for owner in owners)
    assert merge_alike(fine, features, target=0, similarity=1.0).count == len(fine.labels.unique())
    with pytest.raises(ValueError, match="where to stop"):
        merge_alike(fine, features, 0, 0.0)
    with pytest.raises(ValueError, match="features of 2 pictures"):
        merge_alike(fine, features._replace(features=features.features.repeat(2, 1, 1, 1)))


def test_parts_become_segments_and_still_cover_the_picture(segmented):
    maps = segmented[1]
    whole, parts = (assemble_masks(maps, min_area=0.002, split_parts=split) for split in (False, True))
    assert parts.count > whole.count
    masks = one_hot(parts.labels, parts.count).flatten(0, 1)
    assert torch.equal(masks.sum(0), torch.ones(128, 128)) and masks.sum((1, 2)).min() > 0
    outputs = EmerDiffAssembleMasks.execute(maps, min_area=0.002, split_parts=True).result
    assert len(outputs[0]) == parts.count
    with pytest.raises(ValueError, match="raise min_area or smoothing"):
        assemble_masks(maps._replace(difference=torch.rand(maps.difference.shape)), smoothing=0.0, split_parts=True)


def test_equal_things_that_touch_become_segments():
    true = torch.from_numpy(touching_scene(HELD_OUT, 256).labels).long()
    pairs = torch.where(true > 1, true // 2 + 1, true)  # both things of a pair in one segment
    maps = DifferenceMaps(torch.nn.functional.one_hot(pairs).movedim(-1, 0).float()[None], (256, 256))
    parts = assemble_masks(maps, min_area=0.002, split_parts=True).labels[0]
    most = [int(parts[true == number].mode().values) for number in range(2, int(true.max()) + 1)]
    assert len(set(most)) == len(most)


def test_masks_of_a_large_picture_follow_its_borders(small):
    true = scene(HELD_OUT + 2, 512)
    small_labels = scene(HELD_OUT + 2, 128).labels
    maps = torch.nn.functional.one_hot(torch.from_numpy(small_labels).long()).movedim(-1, 0).float()[None]
    maps, image = DifferenceMaps(maps, (512, 512)), torch.from_numpy(true.image)[None]
    wrong = {
        refine: (assemble_masks(maps, image=image if refine else None).labels[0].numpy() != true.labels).mean()
        for refine in (False, True)
    }
    assert wrong[True] < 0.7 * wrong[False]
    with pytest.raises(ValueError, match="connect the image that was segmented"):
        assemble_masks(maps, image=image[:, :-1])
