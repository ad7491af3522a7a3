"""Corrections by brush: their text, and what they do to a mask."""

import pytest
import torch
from emerdiff.emerdiff_ops.segments.brush import Correction, corrected, has_shape_of, parse_corrections


@pytest.mark.parametrize(
    ("text", "count", "wanted"),
    [
        ("", 2, [None, None]),
        ("a.png", 2, [Correction("a.png", None)] * 2),
        (" emerdiff/a b.png @1A2B3C4D ;; c@d.png", 3, [("emerdiff/a b.png", "1a2b3c4d"), None, ("c@d.png", None)]),
        ("a.png;", 2, [("a.png", None), None]),
    ],
)
def test_each_picture_has_its_own_file(text, count, wanted):
    assert parse_corrections(text, count) == wanted


def test_files_for_more_pictures_than_there_are_are_refused():
    with pytest.raises(ValueError, match="files for 3 pictures, but there are 2"):
        parse_corrections("a.png; ; b.png", 2)


def test_only_what_is_opaque_changes_the_mask():
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    correction = torch.zeros(4, 6, 2)
    correction[0, :3] = torch.tensor([1.0, 1.0])  # painted
    correction[2, 3:, 1] = 1.0  # erased
    correction[3, :, 0] = 1.0  # bright, but transparent
    after = corrected(mask, correction)
    assert (after[0, :3] == 1).all() and (after[2, 3:] == 0).all()
    after[0, :3], after[2, 3:] = mask[0, :3], mask[2, 3:]
    assert torch.equal(after, mask)


def test_a_smaller_correction_is_enlarged_and_leaves_what_is_far_from_it():
    correction = torch.zeros(8, 12, 2)
    correction[:, 6:] = 1.0
    after = corrected(torch.zeros(32, 48), correction)
    assert (after[:, 26:] == 1).all() and (after[:, :22] == 0).all()


@pytest.mark.parametrize(
    ("size", "fits"), [((1024, 1536), True), ((1000, 667), False), ((2000, 3000), True), ((1024, 1500), False)]
)
def test_a_correction_has_the_shape_of_its_picture(size, fits):
    assert has_shape_of(torch.zeros(*size, 2), 2000, 3000) is fits
    assert has_shape_of(torch.zeros(1023, 1536, 2), 1999, 3001)
