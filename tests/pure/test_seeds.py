"""Seeds that compete, on numbers that one can follow; which of a phrase's tokens are words."""

import torch
from emerdiff.emerdiff_ops.seeds import attended_by, in_competition, shares_of, words_among


def test_scores_compete_as_published():
    scores = torch.tensor([[1.0, 2.0, 4.0], [3.0, 2.0, 0.0], [1.0, 1.0, 1.0]])
    assert in_competition(scores).tolist() == [[-1, 3, 11], [7, 3, -5], [-1, -1, -1]]  # 3 s - the two others'
    assert torch.equal(in_competition(scores[:1]), scores[:1])


def test_a_phrase_draws_places_by_the_mean_over_heads_and_tokens():
    query, key = torch.tensor([[[1000.0], [0.0]], [[0.0], [0.0]]]), torch.tensor([[[1.0], [0.0]], [[5.0], [5.0]]])
    most = torch.tensor([1.0, 0.0]).softmax(0)
    expected = torch.stack([most, *3 * [torch.tensor([0.5, 0.5])]]).mean(0)
    torch.testing.assert_close(attended_by(query, key), expected)


def test_places_like_the_seeds_are_the_phrases():
    """Twenty tokens of two kinds: a phrase's two seeds lie in one of them, and it gets all that are like these."""
    output = torch.zeros(20, 2)
    output[:10, 0], output[10:, 1] = 100, 100
    scores = torch.zeros(2, 20)
    scores[0, 3], scores[0, 4], scores[1, 12], scores[1, 13] = 2, 1, 2, 1
    shares = shares_of(scores, None, output)
    assert (shares[0, :10] > 0.9).all() and (shares[0, 10:] < 0.1).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(20))


def test_the_background_does_not_compete_for_seeds_and_counts_a_little_less():
    output, scores = torch.zeros(20, 2), torch.zeros(1, 20)
    torch.testing.assert_close(shares_of(scores, torch.zeros(20), output), torch.full((1, 20), 1 / 1.95))


def test_words_are_no_stop_words():
    assert words_among(["a", "house", "on", "the", "hill", ",", "X"]) == [1, 4]
    assert words_among([",", "the", "a"]) == [1] and words_among(["!", "?"]) == [0]
    assert words_among(["The"]) == [0] and words_among([]) == [0]
