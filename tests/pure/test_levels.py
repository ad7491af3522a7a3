"""Levels of a thing: nested around one mask, found in floods, and the one that is near to all."""

import torch
from emerdiff.emerdiff_ops.ancestors import ancestors, merges_of
from emerdiff.emerdiff_ops.kmeans import clustered
from emerdiff.emerdiff_ops.levels import nested, overlap, rises


def bar(*widths: int) -> list[torch.Tensor]:
    """Masks [4, 40] that are so wide, from the left."""
    return [(torch.arange(40) < width).expand(4, 40) for width in widths]


def test_levels_lie_in_each_other_and_the_first_is_as_it_was():
    first, small, large, everything = bar(10, 4, 20, 40)
    aside = torch.zeros(4, 40, dtype=torch.bool)
    aside[:, 3:12] = True  # smaller than the first, and partly beside it
    found = nested(first, [everything, large, aside, small])
    assert (found.count, found.first) == (5, 2) and torch.equal(found.at(0), first)
    masks = [found.at(steps) for steps in range(-found.first, found.count - found.first)]
    assert all((one <= other).all() for one, other in zip(masks, masks[1:]))
    assert torch.equal(masks[-1], everything) and torch.equal(masks[-2], large)
    assert torch.equal(found.at(-1), aside & first)
    assert torch.equal(found.at(-50), masks[0]) and torch.equal(found.at(50), masks[-1])
    assert found.joins.dtype == torch.int16 and found.joins.min() == 0


def test_what_is_nearly_a_level_already_is_none():
    first, nearly, empty = bar(20, 21, 0)
    found = nested(first, [nearly, empty, first])
    assert (found.count, found.first) == (1, 0) and torch.equal(found.at(3), first)
    nothing = nested(empty, [])
    assert not nothing.at(0).any() and nothing.count == 1
    assert overlap(empty, empty) == 1


def test_a_flood_has_its_levels_where_it_jumps():
    reached = torch.arange(1600).view(40, 40) / 1600
    reached[10:] += 5
    reached[25:] += 50
    levels = rises(reached)
    assert levels == sorted(levels)
    areas = [int((reached <= level).sum()) for level in levels]
    assert any(abs(area - 400) <= 20 for area in areas) and any(abs(area - 1000) <= 50 for area in areas)
    assert rises(torch.zeros(1, 2)) == [0] * len(levels), "of a picture of one colour"


def test_clusters_become_part_of_larger_ones_and_never_of_everything():
    features = torch.tensor([0.0, 0, 1, 1, 9, 9, 20, 20]).view(1, 8, 1) + 30
    labels = clustered(features, 4)
    tree = merges_of(features, labels)
    of_one = list(ancestors(labels, tree, [(0, 0)]))
    assert [mask.sum().item() for mask in of_one] == [2, 4, 6]
    of_two = list(ancestors(labels, tree, [(0, 0), (0, 7)]))
    assert all(mask[0, 0] and mask[0, 7] for mask in of_two)
    even = torch.ones(2, 3, 4)
    labels = clustered(even, 4)
    assert [mask.sum().item() for mask in ancestors(labels, merges_of(even, labels), [(0, 1)])] == [6]
