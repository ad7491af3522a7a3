"""Scores and shares of concepts, by the equations and on numbers that one can follow."""

import math

import torch
from emerdiff.emerdiff_ops.concepts import concept_maps, concept_scores, rivals_of


def test_a_score_is_the_product_of_what_attention_gives_both():
    concepts, picture = torch.tensor([[1.0, 2.0], [0.0, -3.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 5.0]])
    assert concept_scores(concepts, picture).tolist() == [[3, 2, 10], [-3, 0, -15]]
    alone = concept_scores(10 * concepts, picture, unit=True)
    torch.testing.assert_close(alone[0], torch.tensor([3.0, 2, 10]) / math.sqrt(5))
    torch.testing.assert_close(alone[1], torch.tensor([-1.0, 0, -5]))


def test_shares_are_taken_by_each_layer_or_by_their_mean():
    scores = torch.tensor([[[0.0, 4.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]]])  # two layers, two concepts, two tokens
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    by_each = torch.tensor([(0.5 + sigmoid(2)) / 2, (sigmoid(4) + 0.5) / 2])
    torch.testing.assert_close(concept_maps(scores), torch.stack([by_each, 1 - by_each]))
    by_mean = torch.tensor([sigmoid(1 / 1000), sigmoid(2 / 1000)])
    torch.testing.assert_close(concept_maps(scores, temperature=1000), torch.stack([by_mean, 1 - by_mean]))


def test_every_rival_competes_once():
    assert rivals_of(["dog", "sky", "dog"], ["sky", "tree", "tree"]) == ["dog", "sky", "tree"]
    assert rivals_of(["dog"], []) == ["dog"]
