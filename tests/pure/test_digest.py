"""Names of what tensors hold: files are named by what they are drawn from."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.files.digest import WORDS, digest


def picture(height=96, width=128):
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))


def test_equal_contents_have_one_name_wherever_they_lie():
    image = torch.cat([picture(), picture()[..., :1]], -1)  # the first three channels are no block of memory
    assert digest(picture()) == digest(picture().clone()) == digest(image[..., :3])
    assert len(digest(picture())) == 20


@pytest.mark.parametrize("size", [1, 7, 2 * WORDS, 2 * WORDS + 1, 9 * WORDS])
def test_every_single_change_is_seen(size):
    values = torch.rand(size, generator=torch.Generator().manual_seed(1))
    names = {digest(values)}
    for at in {0, size // 2, size - 1}:
        changed = values.clone()
        changed[at] += 1e-6
        names.add(digest(changed))
    assert len(names) == 1 + len({0, size // 2, size - 1})


def test_shape_and_type_are_told_apart_though_the_bytes_are_equal():
    zeros = torch.zeros(2, WORDS)
    names = [digest(zeros), digest(zeros.T), digest(zeros.int()), digest(zeros, zeros), digest(zeros.flatten())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.0, 0.0, 1.0)])
def test_black_pictures_with_one_block_of_a_plain_colour_all_differ(colour):
    """Changes of the highest bits alone, in pairs and singly: 8 x 8 blocks at every place of a grid."""
    names = set()
    for y in range(0, 96, 8):
        for x in range(0, 128, 8):
            block = torch.zeros(96, 128, 3)
            block[y : y + 8, x : x + 8] = torch.tensor(colour)
            names.add(digest(block))
    assert len(names) == 12 * 16


def test_moved_and_exchanged_pixels_are_seen():
    """Sums without weights would not see them."""
    values = picture()
    names = [digest(each) for each in (values, values.flip(0), values.flip(1), values.roll(1, 1), values.roll(1, 0))]
    corners = np.zeros((2, 64, 64, 3), np.float32)  # equal sums of every row and column
    corners[0, :32, :32] = corners[0, 32:, 32:] = corners[1, :32, 32:] = corners[1, 32:, :32] = 1
    names += [digest(torch.from_numpy(each)) for each in corners]
    assert len(set(names)) == len(names)
