"""EmerDiff Cut Out, and the edge that EmerDiff Select Segments gives its mask."""

import pytest
import torch
from emerdiff.nodes.cut_out import EmerDiffCutOut
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps.values import Segmentation

GREEN = torch.tensor([0.0, 1.0, 0.0])


def things(*corners: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Red pictures [B, 64, 64, 3] with a blue square at each corner's place, and masks of the squares."""
    masks = torch.zeros(len(corners), 64, 64)
    for mask, corner in zip(masks, corners):
        mask[corner : corner + 20, corner : corner + 20] = 1
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    return torch.where(masks[..., None] > 0, blue, red), masks


def test_over_green_nothing_shines_through_and_no_ghost_floats_about():
    pictures, masks = things(10, 30)
    soft = 0.45 + 0.3 * masks  # what an uncertain mask looks like: half of it everywhere
    cut, alpha = EmerDiffCutOut.execute(pictures, soft).result
    over = cut[..., 3:] * cut[..., :3] + (1 - cut[..., 3:]) * GREEN
    near = torch.nn.functional.max_pool2d(masks, 5, 1, 2)
    deep = 1 - torch.nn.functional.max_pool2d(1 - masks, 5, 1, 2)
    assert (over[near == 0] == GREEN).all(), "beyond two pixels only the ground is seen"
    assert (over[deep == 1] == pictures[deep == 1]).all(), "two pixels inside only the thing is seen"
    assert torch.equal(alpha, cut[..., 3]) and 0 < ((alpha > 0) & (alpha < 1)).float().mean() < 0.1


def test_masks_are_dealt_out_to_the_pictures():
    pictures, masks = things(0, 40)
    of_each, _ = EmerDiffCutOut.execute(pictures, masks.repeat_interleave(2, 0), feather=0.0).result
    assert torch.equal(of_each[..., :3], pictures.repeat_interleave(2, 0))
    of_one, alpha = EmerDiffCutOut.execute(pictures[:1], masks, feather=0.0).result
    assert len(of_one) == 2 and torch.equal(alpha, masks)


@pytest.mark.parametrize(
    ("mask", "message"),
    [(torch.zeros(1, 64, 64), "nothing is left to cut out"), (torch.ones(1, 32, 64), "do not belong to pictures of")],
)
def test_what_cannot_be_cut_out_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        EmerDiffCutOut.execute(things(10)[0], mask)


def test_the_selection_grows_fades_and_closes_its_holes():
    labels = torch.zeros(1, 32, 32, dtype=torch.int16)
    labels[0, 8:24, 8:24] = 1
    labels[0, 15, 15] = 2
    segmentation = Segmentation(labels, 3)

    def selected(**edge):
        given = {"segmentation": segmentation, "selection": "1"} | edge
        return EmerDiffSelectSegments.execute(**{name: [value] for name, value in given.items()}).result[0][0][0]

    assert torch.equal(selected(), (labels[0] == 1).float())
    assert torch.equal(selected(fill_holes=True), (labels[0] > 0).float())
    grown = selected(grow=2, fill_holes=True)
    assert grown[16, 6:26].all() and not grown[16, 5].any() and not grown[6, 6]
    faded = selected(feather=4.0)[16]
    assert torch.allclose(faded[5:11], torch.tensor([0, 0.125, 0.375, 0.625, 0.875, 1]))
