"""Where pixels and cells lie, on sizes that are no multiples of each other; right answers computed by hand."""

import pytest
import torch
from emerdiff.emerdiff_ops.grid import Grid, grid_over, masks_on_grid
from emerdiff.emerdiff_ops.segments.merging import mask_embeddings


@pytest.mark.parametrize(
    ("working", "latent", "cells", "covered"),
    [
        ((512, 512), (64, 64), (16, 16), (512, 512)),
        ((512, 910), (64, 114), (16, 29), (512, 928)),  # SD1.5's 16 x 16 level: a cell is 32 pixels
        ((512, 683), (64, 86), (16, 22), (512, 704)),
        ((512, 683), (64, 86), (32, 44), (512, 704)),  # read at half cells
        ((121, 110), (31, 28), (16, 14), (128, 112)),  # the small model: 4 pixels a cell of the latent
        ((1024, 1366), (128, 172), (64, 86), (1024, 1376)),  # a transformer's tokens of 16 pixels
        ((65, 64), (10, 8), (5, 4), (80, 64)),  # filled up to whole tokens
        ((64, 65), (2, 3), (2, 3), (64, 96)),  # a VAE of 32 pixels a cell
    ],
)
def test_cells_are_as_large_as_halving_makes_them(working, latent, cells, covered):
    assert grid_over(cells, latent, working) == Grid(cells, working, covered)


@pytest.mark.parametrize(("width", "latent", "cells"), [(910, 114, 29), (683, 86, 22)])
def test_a_cell_holds_its_own_pixels_whatever_the_padding(width, latent, cells):
    """Cells of 32 pixels: the columns 0 to 31 lie in the first, the last few in one that is mostly padding."""
    grid = grid_over((16, cells), (64, latent), (512, width))
    rows, columns = grid.of_pixels((512, width))
    assert rows.tolist() == [y // 32 for y in range(512)]
    assert columns.tolist() == [x // 32 for x in range(width)]
    doubled = grid.of_pixels((1024, 2 * width))[1]
    assert doubled.tolist() == [x // 64 for x in range(2 * width)], "also of a picture that was made smaller"
    assert grid.of_points([(width - 1, 511), (31, 32), (32, 31), (33, 30)], (512, width)) == [
        (15, (width - 1) // 32), (1, 0), (0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "latent", "cells"), [(910, 114, 29), (683, 86, 22)])
def test_embeddings_are_of_the_cells_that_lie_under_the_segments(width, latent, cells):
    """Segments of 32 columns each, so that a segment's embedding is the feature of its column of cells, to the last."""
    features = torch.randn(16, cells, 3, generator=torch.Generator().manual_seed(0))
    features[:] = features[:1]  # alike down the columns
    labels = (torch.arange(width) // 32).repeat(512, 1).short()
    pixels = grid_over((16, cells), (64, latent), (512, width)).of_segments(labels, cells)
    torch.testing.assert_close(mask_embeddings(features, pixels), features[0])
    assert pixels.sum(0).tolist() == [512.0 * min(32, width - 32 * k) for k in range(cells)]


def test_shares_are_what_a_mask_covers_of_each_cell_whatever_the_masks_size():
    mask = torch.zeros(1, 32, 48)
    mask[0, :10, :12] = 1  # one cell and a quarter down, one and a half across, of cells of 8 pixels
    grid = Grid((4, 6), (32, 48), (32, 48))
    expected = torch.zeros(4, 6)
    expected[0, :2] = torch.tensor([1, 0.5])
    expected[1, :2] = torch.tensor([0.25, 0.125])
    torch.testing.assert_close(grid.shares(mask)[0], expected)
    doubled = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(grid.shares(doubled)[0], expected, atol=0.02, rtol=0)


def test_padding_repeats_the_masks_edge_and_does_not_move_it():
    mask = torch.zeros(1, 28, 44)
    mask[0, 24:] = 1  # the last, half padded, row of cells
    weights = Grid((4, 6), (28, 44), (32, 48)).shares(mask)
    assert torch.equal(weights[0, 3], torch.ones(6)) and weights[0, :3].max() == 0


def test_maps_come_back_where_they_lie():
    """A step between two cells is in the middle between their centres, and the padding is cut off."""
    grid = Grid((1, 3), (8, 20), (8, 24))
    large = grid.enlarged(torch.tensor([[[1.0, 0.0, 0.0]]]))
    assert large.shape == (1, 8, 20)
    assert (large[0, :, :8] >= 0.5).all() and (large[0, :, 8:] < 0.5).all()


def test_masks_of_another_grid_are_averaged():
    masks = torch.eye(4).view(1, 1, 4, 4)
    assert masks_on_grid(masks, (4, 4)) is masks
    assert torch.equal(masks_on_grid(masks, (2, 2)), torch.eye(2).view(1, 1, 2, 2) / 2)


def test_a_reduced_grid_has_its_cells_where_they_were():
    grid = Grid((16, 22), (510, 680), (512, 704))
    small = grid.reduced(255)
    assert small == Grid((16, 22), (255, 340), (256, 352)) and grid.reduced(600) == grid
    assert small.of_points([(0, 0), (339, 254), (100, 100)], (255, 340)) == grid.of_points(
        [(0, 0), (679, 509), (200, 200)], (510, 680)
    )
