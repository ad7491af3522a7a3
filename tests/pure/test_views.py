"""Reading with surroundings, mirrored, between the cells, by a reader that shows where each cell comes from."""

import itertools

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.views import canvas_of, mean_reading, mirrored_indices, views
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, pad

CELL = 8


def read_by_means(pictures, surroundings, mirrored, dense):
    """Features that are the mean colour of every cell, as a UNet without any border would have them."""
    size = tuple(pictures.shape[-2:])
    grid = tuple(-(-side // CELL) for side in size)
    seen = views(surroundings, mirrored, dense, size, grid, CELL)
    read = ((view, avg_pool2d(canvas_of(pictures, view), CELL, ceil_mode=True).movedim(1, -1)) for view in seen)
    return mean_reading(read, grid, dense)  # [B, h, w, 3]


def picture(height, width):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * width))


READINGS = list(itertools.product((0.0, 0.25, 0.5), (False, True), (False, True)))


@pytest.mark.parametrize("reading", READINGS)
def test_a_reader_that_knows_no_border_reads_the_same_in_every_way(reading):
    pictures = picture(32, 48)
    cells = avg_pool2d(pictures, CELL).movedim(1, -1)
    read = read_by_means(pictures, *reading)
    if not reading[2]:
        assert torch.allclose(read, cells, atol=1e-6)
        return
    assert read.shape == (2, 8, 12, 3)
    # Every cell of the finer grid is read over a whole cell around its own centre.
    around = avg_pool2d(pad(pictures, (2, 2, 2, 2), mode="replicate"), CELL, CELL // 2)
    assert torch.allclose(read[:, 1:-1, 1:-1], around.movedim(1, -1)[:, 1:7, 1:11], atol=1e-6)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    surroundings=st.floats(0, 0.5),
    mirrored=st.booleans(),
    dense=st.booleans(),
)
def test_any_size_is_read_on_its_own_grid(height, width, surroundings, mirrored, dense):
    grid = -(-height // CELL), -(-width // CELL)
    read = read_by_means(picture(height, width), surroundings, mirrored, dense)
    assert read.shape == (2, *(side * (1 + dense) for side in grid), 3)
    assert read.isfinite().all()


def test_left_stays_left_and_right_stays_right():
    slope = torch.arange(32.0).expand(1, 3, 32, 32) / 32
    for reading in READINGS:
        columns = read_by_means(slope, *reading)[0, 0, :, 0]
        assert (columns.diff() > 0).all(), reading


def test_a_picture_read_plainly_is_its_own_canvas():
    pictures = picture(30, 41)
    (view,) = views(0.0, False, False, (30, 41), (4, 6), CELL)
    assert torch.equal(canvas_of(pictures, view), pictures)


def test_views_are_one_or_two_and_four_times_as_many_where_dense():
    counts = [len(views(0.25, *each, (64, 64), (8, 8), CELL)) for each in itertools.product((0, 1), (0, 1))]
    assert counts == [1, 4, 2, 8]


def test_surroundings_are_whole_cells_of_the_shorter_side():
    (view,) = views(0.25, False, False, (64, 128), (8, 16), CELL)
    assert view.begin == (16, 16) and view.canvas == (96, 160) and view.first == 2


@given(length=st.integers(1, 60), begin=st.integers(0, 50), side=st.integers(1, 9))
def test_mirrors_go_on_as_numpy_s_symmetric_padding_does(length, begin, side):
    padded = np.pad(np.arange(side), (begin, max(0, length - begin)), mode="symmetric")[:length]
    assert mirrored_indices(length, begin, side).tolist() == padded.tolist()


def test_the_mean_is_over_the_views_that_read_a_cell():
    seen = views(0.25, True, True, (16, 16), (2, 2), CELL)
    shape = 1, *(side // CELL for side in seen[0].canvas), 1
    read = ((view, torch.full(shape, float(view.mirrored))) for view in seen)
    assert torch.equal(mean_reading(read, (2, 2), True), torch.full((1, 4, 4, 1), 0.5))
