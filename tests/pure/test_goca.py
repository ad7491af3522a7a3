"""GoCA's equations, against each written out, cell by cell."""

import math

import pytest
import torch
from emerdiff.emerdiff_ops import goca


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator)


def test_heads_count_by_their_part_of_the_output(draw):
    query, key, value, weight = draw(6, 8), draw(5, 8), draw(5, 8), draw(8, 8)
    maps = goca.attention_maps(query, key, 2)
    given = [maps[h] @ value[:, 4 * h : 4 * h + 4] @ weight[4 * h : 4 * h + 4] for h in range(2)]  # A_h V_h W_h
    found = goca.over_heads(maps, torch.stack(given))
    for place in range(6):
        whole = given[0][place] + given[1][place]
        parts = [float(each[place] @ whole) for each in given]
        expected = sum(part / sum(parts) * maps[h, place] for h, part in enumerate(parts))
        torch.testing.assert_close(found[place], expected, rtol=1e-5, atol=1e-6)
    scores = query[0, :4] @ key[:, :4].T / math.sqrt(4)
    torch.testing.assert_close(maps[0, 0], scores.exp() / scores.exp().sum())


def test_a_layer_counts_by_its_agreement_with_the_reference(draw):
    own, feature = draw(6, 6).softmax(1), draw(6, 3)
    reference = (feature @ feature.T / math.sqrt(3)).softmax(1)
    assert float(goca.agreement(own, reference=feature)) == pytest.approx(float((reference * own).sum()), rel=1e-5)


def test_on_another_grid_keys_are_interpolated_and_queries_repeated(draw):
    own = draw(6, 6)  # 2 x 3
    found = goca.on_grid(own, (2, 3), (4, 6))
    assert found.shape == (24, 24)
    keys = torch.nn.functional.interpolate(own.view(6, 1, 2, 3), (4, 6), mode="bilinear").flatten(1)
    for row in range(4):
        for column in range(6):
            torch.testing.assert_close(found[row * 6 + column], keys[row // 2 * 3 + column // 2])
    assert goca.on_grid(own, (2, 3), (2, 3)) is own


def test_layers_and_words_are_shared_out(draw):
    maps, cells = [draw(6, 4).softmax(1), draw(24, 4).softmax(1)], [(2, 3), (4, 6)]
    together = goca.over_layers(maps, cells, torch.tensor([3.0, 1.0]), (4, 6))
    large = torch.nn.functional.interpolate(maps[0].T.view(1, 4, 2, 3), (4, 6), mode="bilinear")[0].flatten(1).T
    torch.testing.assert_close(together, 0.75 * large + 0.25 * maps[1])
    ours = goca.over_layers(maps, cells, torch.tensor([-1.0, 1.0]), (4, 6))
    torch.testing.assert_close(ours, maps[1], msg="a layer that disagrees has no part")
    groups = torch.tensor([[0.0, 1, 1, 0], [0, 0, 0, 1]])  # the first token is the start
    found = goca.word_maps(together, groups, (4, 6))
    shares = torch.stack([together[:, 1:3].mean(1), together[:, 3]]) / together[:, 1:].sum(1)
    blurred = goca.smoothed(shares.view(2, 4, 6))
    least, most = blurred.amin((1, 2), keepdim=True), blurred.amax((1, 2), keepdim=True)
    torch.testing.assert_close(found, (blurred - least) / (most - least))


def test_smoothing_is_a_gaussian_of_five_cells():
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    found = goca.smoothed(point)[0]
    weights = torch.tensor([math.exp(-0.5 * (place / 1.1) ** 2) for place in range(-2, 3)])
    weights = weights / weights.sum()
    torch.testing.assert_close(found[2:7, 2:7], weights[:, None] * weights)
    assert found.sum() == pytest.approx(1, abs=1e-6)
    small = torch.rand(1, 2, 2)
    assert goca.smoothed(small) is small


def test_maps_are_carried_twice_along_the_pictures_own_attention(draw):
    own, maps = draw(6, 6).softmax(1), torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(1))
    expected = (own @ own @ maps.flatten(1).T).T
    least, most = expected.amin(1, keepdim=True), expected.amax(1, keepdim=True)
    torch.testing.assert_close(goca.carried(maps, own).flatten(1), (expected - least) / (most - least))
