"""From a rough mask to weights on the grid, and from two maps to one mask."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.lifting import apart, contenders, contest, kappa, shared_out, with_peaks_of, with_prior
from emerdiff.emerdiff_ops.segments.labels import deal_out
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score


def test_masks_are_dealt_out_picture_after_picture():
    masks = torch.arange(6.0).view(6, 1, 1)
    assert deal_out(masks, 2).flatten(1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert deal_out(masks[:1], 3).shape == (3, 1, 1, 1)
    with pytest.raises(ValueError, match="6 masks cannot be dealt out to 4 pictures"):
        deal_out(masks, 4)


def halves(left: float, right: float) -> torch.Tensor:
    """A map [16, 16] with one value on the left and another on the right."""
    return torch.cat([torch.full((16, 8), float(left)), torch.full((16, 8), float(right))], 1)


LEFT, RIGHT = halves(1, 0), halves(0, 1)
NOTHING, EVERYWHERE = torch.zeros(16, 16), torch.ones(16, 16)


def test_contenders_are_each_mask_its_complement_and_the_clusters_less_the_mask():
    pushed = contenders(torch.stack([LEFT, RIGHT]), torch.stack([EVERYWHERE, RIGHT]))
    assert torch.equal(pushed, torch.stack([LEFT, RIGHT, RIGHT, RIGHT, RIGHT, LEFT, LEFT, NOTHING]))


def test_a_pixel_sides_with_the_louder_of_both_maps_each_by_its_own_measure():
    mine, others = halves(0.5, 0.1), halves(0, 40)  # a complement answers far more loudly
    for maps in ([mine, others], [mine, others, others]):
        soft = contest(torch.stack(maps), 1)
        assert soft.shape == (1, 16, 16) and soft.min() >= 0 and soft.max() <= 1
        assert (soft[0, :, :7] > 0.5).all() and (soft[0, :, 9:] < 0.5).all()


def test_neither_a_loud_complement_nor_a_loud_cluster_drowns_the_mask():
    mine, quiet = halves(0.6, 0.1), halves(0.1, 1)
    mine[0, 0] = 1.0
    for complement, cluster in ((EVERYWHERE, quiet), (quiet, EVERYWHERE)):
        soft = contest(torch.stack([mine, complement, cluster]), 1)[0]
        assert (soft[4:12, 1:7] > 0.5).all() and (soft[:, 10:] < 0.5).all()


def test_the_loudest_cluster_counts():
    mine, complement = halves(1, 0.6), halves(0.9, 0.9)
    faint, loud = halves(0.1, 0.1), halves(0.1, 0.8)
    faint[0, 0] = loud[0, 0] = complement[0, 0] = 1.0  # each map's maximum, so that none is scaled
    soft = contest(torch.stack([mine, complement, faint, loud]), 1)[0]
    assert (soft[4:12, 1:7] > 0.5).all() and (soft[:, 10:] < 0.5).all()


def test_what_two_masks_claim_goes_to_the_one_it_sides_more_with():
    sides, weights = torch.stack([halves(0.9, 0.6), halves(0.4, 0.8)]), torch.stack([LEFT, RIGHT])
    shared = shared_out(sides, weights)
    assert ((shared > 0.5).int() == weights.int()).all() and (shared <= sides).all()
    assert torch.equal(shared_out(sides, torch.stack([LEFT, LEFT])), sides), "masks on one another do not compete"
    assert torch.equal(shared_out(sides[:1], weights[:1]), sides[:1])


def test_a_mask_beside_its_inverse_is_not_drowned_by_a_loud_one():
    one, other = halves(0.6, 0.1), EVERYWHERE
    one[0, 0] = 1.0
    maps = torch.stack([one, other, halves(0.1, 1), other, one, halves(1, 0.1)])
    soft = shared_out(contest(maps, 2), torch.stack([LEFT, RIGHT]))
    assert (soft[0, 4:, 1:7] > 0.5).all() and (soft[0, :, 10:] < 0.5).all()


def test_masks_lie_apart_unless_one_is_half_in_the_other():
    inner = NOTHING.clone()
    inner[4:8, 2:6] = 1
    across = NOTHING.clone()
    across[4:8, 5:9] = 1  # three quarters of it on the left
    expected = [[0, 1, 0, 0], [1, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]]
    assert apart(torch.stack([LEFT, RIGHT, inner, across])).int().tolist() == expected
    assert not apart(0.3 * torch.stack([LEFT, inner])).any(), "however faint they are"


def test_a_part_of_a_thing_does_not_lose_it_to_the_whole():
    """A shrunk mask in a box: the box claims the part's pixels more loudly, and both keep them."""
    part = NOTHING.clone()
    part[6:10, 2:6] = 1
    sides = torch.stack([0.9 * LEFT, 0.6 * part])
    assert torch.equal(shared_out(sides, torch.stack([LEFT, part])), sides)


def test_nothing_and_everything_come_back():
    """Maps as these masks would give: where nothing is pushed, nothing answers."""
    weights = torch.stack([NOTHING, EVERYWHERE])
    assert torch.equal(contest(contenders(weights, LEFT[None]), 2), weights)


def test_where_the_answer_says_nothing_what_came_in_stands_and_a_clear_answer_overrules_it():
    undecided, vague, clear, came_in = halves(0.5, 0.5), halves(0.3, 0.7), halves(0.1, 0.9), halves(0.8, 0.2)
    for sides, expected in ((undecided, LEFT), (vague, LEFT), (clear, RIGHT)):
        assert torch.equal((with_prior(sides[None], came_in[None])[0] > 0.5).float(), expected)
    certain = with_prior(torch.stack([NOTHING, EVERYWHERE]), torch.stack([NOTHING, EVERYWHERE]))
    assert certain.isfinite().all() and torch.equal(certain > 0.5, torch.stack([NOTHING, EVERYWHERE]) > 0)
    flat = halves(0.7, 0.3)
    assert torch.allclose(with_prior(flat[None], undecided[None])[0], flat), "a prior of one half changes nothing"


def test_a_mask_that_faded_when_smoothed_is_as_sure_as_before_and_nothing_stays_nothing():
    spot = torch.zeros(2, 12, 12)
    spot[0, 5:7, 5:7] = 0.8
    faded = spot.new_zeros(spot.shape)
    faded[0, 4:8, 4:8] = 0.2
    restored = with_peaks_of(faded, spot)
    assert restored[0].amax().item() == pytest.approx(0.8) and torch.equal(restored > 0, faded > 0)
    assert torch.equal(restored[1], spot[1])


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95))
def test_kappa_is_scikit_learns(seed, share):
    one, other = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) < share
    theirs = cohen_kappa_score(one.flatten(), other.flatten())
    assert np.isnan(theirs) or kappa(one, other).item() == pytest.approx(theirs, abs=1e-5)
