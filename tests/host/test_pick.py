"""Pointing at things: points and boxes on scenes whose objects are known."""

import json

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments.boxes import box_around
from emerdiff.nodes.pick_by_points import EmerDiffPickByPoints
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.pick import cells_inside, pick_by_points

from measure.metrics import interior, iou
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def true():
    return scene(HELD_OUT + 3)


@pytest.fixture(scope="module")
def image(true):
    return torch.from_numpy(true.image)[None, :121, :110]  # padded at the right and below


@pytest.fixture(scope="module")
def read(small, image):
    with torch.inference_mode():
        return extract_features(small, image, reading=ROBUST._replace(enlarge=False))


def middle(region) -> tuple[int, int]:
    """Its most interior pixel (x, y)."""
    row, column = interior(region)
    return column, row


def written(*points) -> str:
    return json.dumps([{"x": x, "y": y} for x, y in points])


def regions(true) -> list[np.ndarray]:
    found = [(true.labels == number)[:121, :110] for number in range(2, len(true.words))]
    return [region for region in found if region.sum() > 150]


def box_of(region) -> list[int]:
    return list(box_around(torch.from_numpy(region)))


def test_a_point_picks_its_thing_and_a_box_its_content(read, image, true):
    things, of_boxes = regions(true), []
    assert len(things) > 1
    for region in things:
        point, box = written(middle(region)), [box_of(region)]
        pointed = pick_by_points(*read, image, point, "")[0].numpy() > 0.5
        boxed = pick_by_points(*read, image, "", "", box)[0].numpy() > 0.5
        x, y = middle(region)
        assert pointed[y, x]
        everything = np.ones_like(region)
        assert iou(pointed, region) > 3 * iou(everything, region)
        assert not boxed[: box[0][1]].any() and not boxed[:, : box[0][0]].any()
        of_boxes.append(iou(boxed, region))
        assert torch.equal(
            pick_by_points(*read, image, "", "", json.dumps(box)), pick_by_points(*read, image, "", "", box)
        )
    assert np.mean(of_boxes) > 0.5


def test_negative_points_alone_leave_out_and_beside_others_take_away(read, image, true):
    first, second = regions(true)[:2]
    one, other = middle(first), middle(second)
    assert torch.equal(
        pick_by_points(*read, image, "", written(one)), 1 - pick_by_points(*read, image, written(one), "")
    )
    both = pick_by_points(*read, image, written(one, other), "")[0]
    assert both[one[1], one[0]] > 0.5 and both[other[1], other[0]] > 0.5
    less = pick_by_points(*read, image, written(one), written(other))[0]
    assert less[one[1], one[0]] > 0.5 and less[other[1], other[0]] < 0.5


def test_points_may_be_for_one_picture_of_a_batch(small, image, true):
    pair = image.repeat(2, 1, 1, 1)
    read = extract_features(small, pair, reading=ROBUST)
    point = json.loads(written(middle(regions(true)[0])))
    both = pick_by_points(*read, pair, json.dumps(point), "")
    second = pick_by_points(*read, pair, json.dumps([[], point]), "")
    assert not second[0].any() and torch.equal(second[1], both[1]) and both[0].any()


def test_the_node_gives_masks_of_the_pictures_size_and_dtype(read, image, true):
    hard, soft = EmerDiffPickByPoints.execute(*read, image.half(), written(middle(regions(true)[0]))).result
    assert hard.shape == soft.shape == (1, 121, 110) and hard.dtype == soft.dtype == torch.float32
    assert set(hard.unique().tolist()) <= {0.0, 1.0} and torch.equal(hard, (soft > 0.5).float())


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (("", ""), "nothing is pointed at"),
        ((written((300, 4)), ""), r"outside the image"),
        ((written((20, 20)), written((21, 20))), "positive and a negative point lie in the same cell"),
        (("", "", [[5, 5, 5, 9]]), "holds no pixel"),
    ],
)
def test_what_cannot_be_meant_is_said(read, image, points, message):
    with pytest.raises(ValueError, match=message):
        pick_by_points(*read, image, *points)


def test_cells_lie_where_their_pixels_are(read):
    """121 x 110 pixels are 31 x 28 cells of the latent, 16 x 14 of the grid, of 8 pixels each."""
    features, _ = read
    assert features.grid == ((16, 14), (121, 110), (128, 112))
    assert features.grid.of_points([(0, 0), (109, 120), (7, 7), (8, 8)], (121, 110)) == [(0, 0), (15, 13), (1, 1)]
    assert cells_inside([(0, 0, 8, 8)], features.grid, (121, 110)).nonzero().tolist() == [[0, 0]]
    assert cells_inside([(1, 1, 2, 2)], features.grid, (121, 110)).sum() == 1
