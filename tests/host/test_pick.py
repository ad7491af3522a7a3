"""Pointing at things: points and boxes on scenes whose objects are known."""

import json

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.grid import grid_over
from emerdiff.emerdiff_ops.segments.boxes import box_around
from emerdiff.nodes.pick_by_points import EmerDiffPickByPoints
from emerdiff.nodes.steps import levels, pick
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.levels import Seen, together
from emerdiff.nodes.steps.pick import cells_inside, pick_by_points, pick_levels

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
    rest = pick_by_points(*read, image, "", written(one))[0]
    assert rest[one[1], one[0]] < 0.5 < rest[other[1], other[0]]
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
    hard, soft, _ = EmerDiffPickByPoints.execute(*read, image.half(), written(middle(regions(true)[0]))).result
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


@pytest.fixture(scope="module")
def attentive(small, image):
    with torch.inference_mode():
        return extract_features(small, image, reading=ROBUST._replace(enlarge=False, attention=True))


def all_levels(read, image, *pointed):
    (levels,) = pick_levels(*read, image, pointed).levels
    return [levels.at(level - levels.first) for level in range(levels.count)], levels.first


@pytest.mark.parametrize("with_attention", [False, True])
def test_levels_grow_around_a_point_and_the_level_turns_through_them(request, image, true, with_attention):
    read = request.getfixturevalue("attentive" if with_attention else "read")
    for region in regions(true):
        x, y = middle(region)
        point = written((x, y))
        masks, first = all_levels(read, image, point, "")
        assert len(masks) > (4 if with_attention else 1)
        assert all(mask[y, x] for mask in masks)
        assert all((one <= other).all() and one.sum() < other.sum() for one, other in zip(masks, masks[1:]))
        for level in (-1, 0, 1, -99, 99):
            soft = pick_by_points(*read, image, point, "", level=level)[0]
            assert torch.equal(soft > 0.5, masks[min(max(first + level, 0), len(masks) - 1)])
        best = max(iou(mask.numpy(), region) for mask in masks)
        assert best >= iou(masks[first].numpy(), region)


def test_the_most_plausible_mask_is_shown_first_and_what_is_like_the_point_stays_soft(read, image, true, monkeypatch):
    point, shown = written(middle(regions(true)[0])), []
    for order in ([2, 1, 0], [1, 2, 0], [0, 1, 2]):
        monkeypatch.setattr(levels, "plausibility", lambda *_, order=order: torch.tensor(order))
        shown.append(pick_by_points(*read, image, point, "")[0])
    assert [bool(((soft > 0) & (soft < 1)).any()) for soft in shown] == [True, False, False]
    assert (shown[1] < shown[2]).any() and (shown[1] <= shown[2]).all(), "a cluster, and what it merges into"


def test_a_level_asks_to_read_again_where_attention_was_not_read(read, attentive, image, true, monkeypatch):
    notes: list = []
    monkeypatch.setattr(pick, "show_notes", notes.extend)
    point = written(middle(regions(true)[0]))
    for found, level in ((read, 0), (attentive, 1), (read, 1)):
        assert not notes
        pick_by_points(*found, image, point, "", level=level)
    assert notes == [pick.UNREAD] and "read the picture again" in notes[0]


def test_with_two_points_every_level_holds_both_and_a_negative_one_cuts(attentive, image, true):
    first, second = (middle(region) for region in regions(true)[:2])
    both, _ = all_levels(attentive, image, written(first, second), "")
    less, _ = all_levels(attentive, image, written(first), written(second))
    assert all(mask[first[1], first[0]] and mask[second[1], second[0]] for mask in both)
    assert all(mask[first[1], first[0]] for mask in less)
    assert not any(mask[second[1], second[0]] for mask in less)


def test_a_further_point_mends_the_levels_there_are_by_a_part_of_its_own_size():
    """A part is no larger than the point's cluster, which comes first, and holds no point of the other kind."""

    def row(columns: str) -> torch.Tensor:
        return torch.tensor([[str(column) in columns for column in range(10)]])

    def columns(mask: torch.Tensor) -> str:
        return "".join(str(column) for column in mask[0].nonzero().flatten().tolist())

    at_2, at_8 = ([row(each) for each in masks] for masks in (("0123", "012345", "0123456789"), ("789", "8", "56789")))
    not_5 = [row(each) for each in ("56", "5", "12", "3456789")]
    seen = Seen(torch.zeros(1, 10, 3), grid_over((1, 10), (1, 10), (1, 10)), [(2, 0), (8, 0)], [(5, 0)])
    found = [columns(mask) for mask in together(seen, [at_2, at_8], [not_5])]
    assert found[:6] == ["01238", "012348", "012346789", "0123789", "01238", "01236789"]
    assert found[6:] == ["0123789", "01234789", "01234789", "0123789", "01238", "0123789"]
    alone = together(seen._replace(positive=[(2, 0)], negative=[]), [at_2], [])
    assert [columns(mask) for mask in alone] == ["0123", "012345", "0123456789"]


def test_a_box_and_negative_points_alone_have_one_level(attentive, image, true):
    region = regions(true)[0]
    assert len(all_levels(attentive, image, "", "", [box_of(region)])[0]) == 1
    assert len(all_levels(attentive, image, "", written(middle(region)))[0]) == 1


def test_points_at_the_border_and_on_one_colour_have_levels(small, image, attentive):
    height, width = image.shape[1:3]
    for corner in ((0, 0), (width - 1, height - 1)):
        masks, _ = all_levels(attentive, image, written(corner), "")
        assert masks[-1][corner[1], corner[0]]
    features, trajectory = attentive
    even = {name: torch.ones_like(getattr(features, name)) for name in ("features", "chains")}
    even = features._replace(**even, clusters=None)
    masks, _ = all_levels((even, trajectory), torch.full_like(image, 0.5), written((4, 4)), "")
    assert masks[-1][4, 4]


def test_the_wire_and_the_browser_get_every_level(attentive, image, true):
    point = written(middle(regions(true)[0]))
    output = EmerDiffPickByPoints.execute(*attentive, image, point, level=1)
    masks, first = all_levels(attentive, image, point, "")
    hard, _, joins = output.result
    assert torch.equal(hard[0] > 0.5, masks[first + 1])
    for level, mask in enumerate(masks):
        assert torch.equal(joins[0] > 1 - (level + 0.5) / len(masks), mask)
    assert joins.shape == hard.shape and joins.max() == 1
    (sent,) = output.ui["emerdiff_levels"]
    assert (sent["count"], sent["first"]) == (len(masks), first) and sent["labels"]["type"] == "temp"
