"""Connected parts of segments: given away, filled, split."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.regions import fill_holes, split_parts
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

pytestmark = pytest.mark.pure

SMALL = arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


def picture(*rows: str) -> torch.Tensor:
    return torch.tensor([[int(value) for value in row] for row in rows], dtype=torch.int16)


RINGS = picture("00000000", "01111100", "01222100", "01212100", "01222100", "01111100", "00000000")


def test_a_small_hole_goes_to_what_encloses_it():
    filled = fill_holes(RINGS, 2 / RINGS.numel())  # one pixel of 1, inside 2
    assert filled[3, 3] == 2 and (filled != RINGS).sum() == 1


def test_the_outermost_small_enough_hole_wins():
    filled = fill_holes(RINGS, 10 / RINGS.numel())
    assert torch.equal(filled, picture("00000000", *["01111100"] * 5, "00000000"))


def test_large_holes_and_what_touches_the_edge_stay():
    assert torch.equal(fill_holes(RINGS, 1 / RINGS.numel()), RINGS)
    assert torch.equal(fill_holes(picture("010", "000"), 0.5), picture("010", "000"))
    assert fill_holes(RINGS, 0.0) is RINGS


@given(SMALL)
def test_parts_are_the_connected_components(values):
    parts = split_parts(torch.from_numpy(values)).numpy()
    assert set(np.unique(parts)) == set(range(parts.max() + 1))
    order = [values[parts == number][0] for number in range(parts.max() + 1)]
    assert order == sorted(order)
    for number in range(parts.max() + 1):
        mine = parts == number
        assert len(np.unique(values[mine])) == 1
        components, _ = ndimage.label(values == values[mine][0])
        assert (mine == (components == components[mine][0])).all()
