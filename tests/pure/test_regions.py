"""Connected parts of segments: given away, filled, split."""

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments import regions
from emerdiff.emerdiff_ops.segments.regions import (
    fill_holes,
    is_part,
    parts_for_browsers,
    pixels_of_parts,
    remove_small_regions,
    split_parts,
)
from emerdiff.emerdiff_ops.segments.selection import select
from emerdiff.emerdiff_ops.segments.texts import Part
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

SMALL = arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


def picture(*rows: str) -> torch.Tensor:
    return torch.tensor([[int(value) for value in row] for row in rows], dtype=torch.int16)


LABELS = picture("001", "221", "321")
RINGS = picture("00000000", "01111100", "01222100", "01212100", "01222100", "01111100", "00000000")


def test_small_parts_go_to_the_nearest_that_stays():
    labels = torch.zeros(8, 8, dtype=torch.int16)
    labels[:, 4:] = 1
    labels[1, 1] = 1  # a speck of 1 within 0
    labels[6, 6] = 2  # a speck of 2 within 1
    cleaned = remove_small_regions(labels, 2 / 64)
    expected = torch.zeros(8, 8, dtype=torch.int16)
    expected[:, 4:] = 1
    assert torch.equal(cleaned, expected)
    assert labels[1, 1] == 1 and labels[6, 6] == 2  # the input is untouched


def test_if_nothing_would_stay_the_largest_part_does():
    assert remove_small_regions(LABELS, 0.9).eq(1).all()  # three pixels of 1 and of 2: the first in order
    labels = LABELS.clone()
    labels[0] = 0
    assert remove_small_regions(labels, 0.9).eq(0).all()


@given(SMALL.map(torch.from_numpy), st.floats(0, 0.5))
def test_no_small_part_is_left_and_large_ones_stay(labels, min_area):
    cleaned = remove_small_regions(labels, min_area)
    assert cleaned.dtype == torch.int16 and cleaned.shape == labels.shape
    least = min_area * labels.numel()
    kept = 0
    for number in labels.unique().tolist():
        parts, count = ndimage.label(labels.numpy() == number)
        for part in range(1, count + 1):
            if (parts == part).sum() >= least:
                kept += 1
                assert cleaned[torch.from_numpy(parts == part)].eq(number).all()
    if kept:
        for number in cleaned.unique().tolist():
            parts, count = ndimage.label(cleaned.numpy() == number)
            sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
            assert max(sizes) >= least
    else:
        assert len(cleaned.unique()) == 1


def test_no_minimal_area_changes_nothing():
    assert remove_small_regions(RINGS, 0.0) is RINGS


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


@given(SMALL, st.data())
def test_a_part_is_what_its_place_is_connected_with(values, data):
    labels, (height, width) = torch.from_numpy(values), values.shape
    places = data.draw(st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), max_size=3))
    named = [Part(int(values[y, x]), x, y) for y, x in places]
    parts = split_parts(labels)
    wanted = torch.isin(parts, torch.tensor([int(parts[y, x]) for y, x in places], dtype=parts.dtype))
    assert all(is_part(labels, part) for part in named)
    assert torch.equal(pixels_of_parts(labels, named), wanted)
    assert not any(is_part(labels, part._replace(number=part.number + 1)) for part in named)
    assert not is_part(labels, Part(int(values[0, 0]), width, 0)) and not is_part(labels, Part(0, 0, height))


def test_a_part_is_added_once_and_taken_away_with_its_segment():
    labels = picture("01011", "21111")
    left, all_of_1 = [Part(1, 1, 0)], labels == 1
    assert torch.equal(select(labels, [], [], [], False, [Part(0, 2, 0)]), picture("00100", "00000") == 1)
    assert torch.equal(select(labels, [1], [], [], False, left), all_of_1)
    assert torch.equal(select(labels, [], [], [], True, left), ~all_of_1)
    assert not select(labels, [], [], [(1, 0)], False, left).any(), "the segment under a negative point is out"


def test_parts_too_many_for_a_browser_have_no_number(monkeypatch):
    monkeypatch.setattr(regions, "MOST_PARTS", 3)
    assert parts_for_browsers(picture("010", "232")).tolist() == [[1, 3, 2], [0, 0, 0]]
