"""Cells against examples, and which parts of a mask are pointed at."""

import torch
from emerdiff.emerdiff_ops.likeness import likeness, with_points


def test_likeness_goes_by_the_nearest_example():
    features = torch.tensor([0.0, 0.1, 5.0, 5.2, 10.0]).reshape(1, 5, 1)
    nowhere = torch.zeros(1, 5, dtype=torch.bool)
    like = likeness(features, [(0, 2)], [], nowhere, clusters=3)
    assert (like[0] > 0.5).tolist() == [False, False, True, True, False]
    like = likeness(features, [(0, 2)], [(0, 3)], nowhere, clusters=3)
    assert like[0, 2] > 0.5 > like[0, 3]
    assert (likeness(features, [(0, 0)], [], nowhere, clusters=1) > 0.5).all(), "nothing competes"


def test_of_like_parts_the_one_pointed_at_stays():
    mask = torch.zeros(6, 12, dtype=torch.bool)
    mask[1:3, 1:4] = mask[3:5, 8:11] = True
    assert with_points(mask, [(2, 2)]).nonzero().tolist() == mask[:, :6].nonzero().tolist()
    assert torch.equal(with_points(mask, [(2, 2), (9, 3)]), mask)
    assert with_points(mask, [(7, 4)])[3, 8], "a point that lies in none keeps the nearest"
    assert not with_points(torch.zeros(3, 3, dtype=torch.bool), [(1, 1)]).any()
