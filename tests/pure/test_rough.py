"""What the features say of rough masks, on grids that one can read."""

import pytest
import torch
from emerdiff.emerdiff_ops.rough import likeness_to_masks


@pytest.fixture
def halves() -> torch.Tensor:
    """A thing in the left half of a 6 x 8 grid, the rest at the right."""
    features = torch.zeros(6, 8, 3)
    features[:, :4, 0], features[:, 4:, 1] = 5, 5
    return features


def test_a_mask_of_part_of_a_thing_becomes_the_thing(halves):
    masks = torch.zeros(2, 6, 8)
    masks[0, 1:5, 0:4] = 1
    masks[1, :, 5:] = 0.4  # the rest, faintly
    found = likeness_to_masks(halves, masks)
    assert found.shape == (2, 6, 8) and ((found >= 0) & (found <= 1)).all()
    thing = torch.zeros(6, 8, dtype=torch.bool)
    thing[:, :4] = True
    assert torch.equal(found[0] > 0.5, thing) and torch.equal(found[1] > 0.5, ~thing)


def test_features_that_are_all_alike_say_nothing():
    masks = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(likeness_to_masks(torch.ones(4, 4, 2), masks), torch.full((1, 4, 4), 0.5))


def test_masks_do_not_see_each_other(halves):
    masks = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(likeness_to_masks(halves, masks)[1:2], likeness_to_masks(halves, masks[1:2]))
