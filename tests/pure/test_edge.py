"""What is done to a mask at its edge, against distances counted pixel by pixel."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments.edge import Edge, edged
from hypothesis import given, settings
from hypothesis import strategies as st

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1))


def random_mask(height: int, width: int, seed: int, share: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((height, width)) < share)


def by_hand(mask: np.ndarray, grow: int, feather: float) -> np.ndarray:
    """clip((d + grow) / feather + 1/2, 0, 1), each distance the least of all to the other side, less half a pixel."""
    rows, columns = np.indices(mask.shape)
    result = np.zeros(mask.shape, np.float32)
    for row, column in np.ndindex(mask.shape):
        others = mask != mask[row, column]
        away = np.sqrt((rows - row) ** 2 + (columns - column) ** 2)[others].min(initial=np.inf)
        distance = (away - 0.5) * (1 if mask[row, column] else -1) + grow
        result[row, column] = min(1, max(0, distance / feather + 0.5)) if feather else distance > 0
    return result


@settings(deadline=None)
@given(MASKS, st.integers(-3, 3), st.sampled_from([0, 0.5, 1, 2.5, 6]))
def test_grown_and_feathered_by_the_distance_to_the_edge(shape, grow, feather):
    mask = random_mask(*shape)
    wanted = by_hand(mask.numpy(), grow, feather) if mask.any() else np.zeros(mask.shape)
    assert np.allclose(edged(mask, Edge(grow, feather)).numpy(), wanted, atol=1e-6)


def test_a_mask_at_the_picture_s_border_is_no_smaller_there():
    mask = torch.zeros(9, 9)
    mask[:5] = 1
    assert torch.equal(edged(mask, Edge(grow=-2)), torch.cat([torch.ones(3, 9), torch.zeros(6, 9)]))


def test_holes_are_filled_before_the_edge_moves():
    mask = torch.ones(9, 9)
    mask[4, 4] = mask[0, 0] = 0  # a hole, and a notch that is open
    filled = edged(mask, Edge(fill_holes=True))
    assert filled[4, 4] == 1 and filled[0, 0] == 0
    assert edged(mask, Edge(grow=-1))[4, 3] == 0 and edged(mask, Edge(-1, 0, fill_holes=True))[4, 3] == 1


@pytest.mark.parametrize("soft", [0.2, 0.8])
def test_a_soft_mask_is_cut_at_the_middle_first(soft):
    assert torch.equal(edged(torch.full((4, 4), soft), Edge(feather=2)), torch.full((4, 4), float(soft > 0.5)))
