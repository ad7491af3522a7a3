"""From a rough mask to weights on the grid, and from two maps to one mask."""

import pytest
import torch
from emerdiff.emerdiff_ops.lifting import against_complement, coarse_weights, contest, deal_out


def test_weights_are_the_covered_share_of_each_cell_whatever_the_masks_size():
    mask = torch.zeros(1, 32, 48)
    mask[0, :10, :12] = 1  # one cell and a quarter down, one and a half across, of cells of 8 pixels
    weights = coarse_weights(mask, (32, 48), (32, 48), (4, 6))
    expected = torch.zeros(4, 6)
    expected[0, :2] = torch.tensor([1, 0.5])
    expected[1, :2] = torch.tensor([0.25, 0.125])
    torch.testing.assert_close(weights[0], expected)
    doubled = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(coarse_weights(doubled, (32, 48), (32, 48), (4, 6))[0], expected, atol=0.02, rtol=0)


def test_padding_repeats_the_masks_edge_and_does_not_move_it():
    mask = torch.zeros(1, 28, 44)
    mask[0, 24:] = 1  # the last, half padded, row of cells
    weights = coarse_weights(mask, (28, 44), (32, 48), (4, 6))
    assert torch.equal(weights[0, 3], torch.ones(6)) and weights[0, :3].max() == 0


def test_masks_are_dealt_out_picture_after_picture():
    masks = torch.arange(6.0).view(6, 1, 1)
    assert deal_out(masks, 2).flatten(1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert deal_out(masks[:1], 3).shape == (3, 1, 1, 1)
    with pytest.raises(ValueError, match="6 masks cannot be dealt out to 4 pictures"):
        deal_out(masks, 4)


def test_a_pixel_sides_with_the_louder_of_both_maps_each_by_its_own_measure():
    mine, others = torch.zeros(16, 16), torch.zeros(16, 16)
    mine[:, :8], others[:, 8:] = 0.5, 40.0  # a complement answers far more loudly
    mine[:, 8:] = 0.1
    soft = contest(torch.stack([mine, others]))
    assert soft.shape == (1, 16, 16) and soft.min() >= 0 and soft.max() <= 1
    assert (soft[0, :, :7] > 0.5).all() and (soft[0, :, 9:] < 0.5).all()


def test_nothing_and_everything_come_back():
    weights = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)])
    pairs = against_complement(weights)
    assert torch.equal(pairs[0], torch.zeros(4, 4)) and torch.equal(pairs[1], torch.ones(4, 4))
    assert torch.equal(
        contest(pairs), weights
    )  # maps as these masks would give: where nothing is pushed, nothing answers
