"""Cells against examples, and which parts of a mask are pointed at."""

import torch
from emerdiff.emerdiff_ops.kmeans import clustered
from emerdiff.emerdiff_ops.likeness import likeness, with_points


def test_likeness_goes_by_the_nearest_example():
    features = torch.tensor([0.0, 0.1, 5.0, 5.2, 10.0]).reshape(1, 5, 1)
    nowhere = torch.zeros(1, 5, dtype=torch.bool)
    like = likeness(features, clustered(features, 3), [(0, 2)], [], nowhere)
    assert (like[0] > 0.5).tolist() == [False, False, True, True, False]
    like = likeness(features, clustered(features, 3), [(0, 2)], [(0, 3)], nowhere)
    assert like[0, 2] > 0.5 > like[0, 3]
    assert (likeness(features, clustered(features, 1), [(0, 0)], [], nowhere) > 0.5).all(), "nothing competes"


def test_a_further_point_brings_its_cluster_where_that_adds_no_more_than_is_there():
    features = torch.zeros(4, 6, 1)  # the background
    features[0, :3], features[1, 0], features[3, :2] = 10, 20, 30  # the thing, a small part of it, another thing
    nowhere = torch.zeros(4, 6, dtype=torch.bool)

    def picked(*wanted):
        return (likeness(features, clustered(features, 4), wanted, [], nowhere) > 0.5)[..., None]

    thing = features == 10
    assert torch.equal(picked((0, 1)), thing)
    assert torch.equal(picked((0, 1), (1, 0)), thing | (features == 20))
    assert torch.equal(picked((0, 1), (3, 1)), thing | (features == 30))
    noise = torch.rand(4, 6, 1, generator=torch.Generator().manual_seed(0)) / 100
    noisy = features + noise
    on_background = likeness(noisy, clustered(noisy, 4), [(0, 1), (2, 5)], [], nowhere) > 0.5
    assert on_background[0, :3].all() and on_background[2, 5] and not on_background[features[..., 0] == 0].all()


def test_of_like_parts_the_one_pointed_at_stays():
    mask = torch.zeros(6, 12, dtype=torch.bool)
    mask[1:3, 1:4] = mask[3:5, 8:11] = True
    assert with_points(mask, [(2, 2)]).nonzero().tolist() == mask[:, :6].nonzero().tolist()
    assert torch.equal(with_points(mask, [(2, 2), (9, 3)]), mask)
    assert with_points(mask, [(7, 4)])[3, 8], "a point that lies in none keeps the nearest"
    assert not with_points(torch.zeros(3, 3, dtype=torch.bool), [(1, 1)]).any()
