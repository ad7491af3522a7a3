"""Scores of segments for a phrase: phrases, attention to words, area weights, signs, the choice."""

import pytest
import torch
from emerdiff.emerdiff_ops.grid import Grid
from emerdiff.emerdiff_ops.text_scores import (
    area_weights,
    attention_sign,
    best_segments,
    prediction_sign,
    split_phrases,
    text_scores,
    word_attention,
)


def test_commas_separate_phrases_unless_in_brackets():
    assert split_phrases(" a dog ,, (cat, black:1.2), sky,") == ["a dog", "(cat, black:1.2)", "sky"]
    for nothing in ("", " , ,\n"):
        with pytest.raises(ValueError, match="type what to look for"):
            split_phrases(nothing)


def test_word_attention_is_the_softmax_by_hand():
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, n, 3 * 4, generator=generator, dtype=torch.float64) for n in (5, 7))
    words = torch.tensor([[0, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]])
    ours = word_attention(query, key, 3, words)
    for row in range(2):
        maps = []
        for head in range(3):
            q, k = (each[row, :, 4 * head : 4 * head + 4] for each in (query, key))
            maps.append((q @ k.T / 2).softmax(-1))
        expected = torch.stack(maps).mean(0)[:, 1:3].sum(-1)
        torch.testing.assert_close(ours[0, row], expected.float())
    torch.testing.assert_close(ours[1], torch.ones(2, 5))
    assert torch.equal(word_attention(query, key, 3, words[:, :3])[0], ours[0])  # a shorter text


def test_area_weights_follow_the_picture_and_not_the_padding():
    labels = torch.zeros(60, 80, dtype=torch.int16)
    labels[:, 40:] = 2
    grid = Grid((4, 8), (60, 160), (80, 160))  # the fourth row of cells is padding
    weights = area_weights(grid.of_segments(labels, 4)).view(4, 4, 8)
    assert torch.equal(weights[:, 3], torch.zeros(4, 8))
    torch.testing.assert_close(weights[0, :3, :4], torch.full((3, 4), 1 / 12))
    torch.testing.assert_close(weights[2, :3, 4:], torch.full((3, 4), 1 / 12))
    assert weights[0, :, 4:].sum() == weights[1].sum() == weights[3].sum() == 0


def test_signs_are_larger_where_the_phrase_helps():
    weights = torch.eye(3, 4)
    empty = torch.full((2, 4), 0.2)
    attention = attention_sign(torch.tensor([[0.2, 0.4, 0.1, 0.2]] * 2), empty, weights)
    torch.testing.assert_close(attention, torch.tensor([1.0, 2.0, 0.5]).log())
    prediction = prediction_sign(torch.tensor([[0.2, 0.1, 0.4, 0.2]] * 2), empty, weights)
    torch.testing.assert_close(prediction, torch.tensor([0.0, 0.5, -1.0]))


def test_scores_are_standard_deviations_over_the_picture():
    areas = torch.tensor([0.5, 0.25, 0.25, 0.0])
    attention, prediction = torch.tensor([0.0, 1.0, -1.0, 9.0]), torch.tensor([0.0, 10.0, -10.0, 9.0])
    for by in ("both", "prediction", "attention"):
        scores = text_scores(attention, 3 + prediction, areas, by)
        torch.testing.assert_close(scores, torch.tensor([0.0, 2**0.5, -(2**0.5), -torch.inf]))
    against = text_scores(attention, -prediction / 2 + torch.tensor([1.0, 0, 0, 0]), areas, "both")
    assert against[0] > against[1:].max()  # each sign counts the same, whatever its size


def test_the_best_by_count_or_all_above_the_threshold():
    scores = torch.tensor([[0.5, 2.0, 2.0, -torch.inf], [3.0, 1.0, -1.0, -torch.inf]])
    assert best_segments(scores, 1, 0.0).tolist() == [[False, True, False, False], [True, False, False, False]]
    assert best_segments(scores, 9, 0.0).tolist() == [[True, True, True, False]] * 2
    assert best_segments(scores, 1, 2.0).tolist() == [[False] * 4, [True, False, False, False]]
    assert best_segments(scores, 1, -2.0).sum() == 6
