"""Markov maps against a plain procedure by their equations, and floods against one by queues."""

import heapq

import pytest
import torch
from emerdiff.emerdiff_ops.attention import mean_attention
from emerdiff.emerdiff_ops.flood import flood
from emerdiff.emerdiff_ops.markov import MOST_STEPS, markov_chain, steps_from

TOKENS = 30


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain_chain(attention: torch.Tensor) -> torch.Tensor:
    """Rows to sum 1, a softmax of logarithms, 200 rounds of columns and rows, in double precision."""
    chain = attention.double() / attention.double().sum(1, keepdim=True)
    chain = (chain.log() / 0.65).softmax(1)
    for _ in range(200):
        chain = chain / chain.sum(0, keepdim=True)
        chain = chain / chain.sum(1, keepdim=True)
    return chain


def plain_steps(chain: torch.Tensor, token: int) -> list[float]:
    """Of each place by itself: the first step at which it has more than .3 of the most, and how far before that."""
    found = []
    for place in range(len(chain)):
        before = torch.eye(len(chain), dtype=chain.dtype)[token]
        steps = 0.0 if place == token else float(MOST_STEPS)
        for number in range(1, MOST_STEPS + 1) if place != token else ():
            after = before @ chain
            after = after / after.max()
            if after[place] > 0.3:
                steps = number - 1 + float((0.3 - before[place]) / (after[place] - before[place]))
                break
            before = after
        found.append(steps)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_chains_and_steps_are_those_of_the_equations(seed):
    attention = (3 * random(TOKENS, TOKENS, seed=seed)).softmax(1)
    chain = markov_chain(attention)
    plain = plain_chain(attention)
    assert (chain / TOKENS - plain).abs().max() < 1e-5
    sums = torch.cat([chain.mean(0), chain.mean(1)])
    assert (sums - 1).abs().max() < 1e-4, "doubly stochastic"
    steps = steps_from(chain, [4, 7])
    for found, token in zip(steps, (4, 7)):
        assert torch.allclose(found, torch.tensor(plain_steps(plain, token)), rtol=1e-4, atol=1e-4)


def test_half_precision_changes_steps_by_less_than_a_hundredth():
    chain = markov_chain((3 * random(200, 200)).softmax(1))
    exact, kept = steps_from(chain, [9]), steps_from(chain.half(), [9])
    assert ((exact - kept).abs() / exact.clamp_min(1)).max() < 0.01


def test_scaled_rows_give_the_same_chain_and_what_is_never_reached_takes_most_steps():
    attention = (3 * random(TOKENS, TOKENS)).softmax(1)
    rows = random(TOKENS, 1, seed=1).exp()
    assert torch.allclose(markov_chain(attention * rows), markov_chain(attention), rtol=1e-4, atol=1e-6)
    apart = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2))
    assert steps_from(markov_chain(apart), [0])[0].tolist() == pytest.approx([0, 0.3, 0.3, MOST_STEPS, MOST_STEPS])


def test_attention_is_the_mean_of_heads_whatever_the_blocks_and_may_be_of_coarser_tokens():
    query, key = random(2, 15, 4), random(2, 15, 4, seed=1)
    plain = torch.stack([(one @ other.T / 2).softmax(1) for one, other in zip(query, key)]).mean(0)
    for most in (1, 61, 10**6):
        assert torch.allclose(mean_attention(query, key, (3, 5), max_scores=most), plain, atol=1e-6)
    coarse = mean_attention(query, key, (3, 5), finer=2, max_scores=70)
    assert coarse.shape == (6, 6) and torch.allclose(coarse.sum(1), torch.ones(6))
    first = [0, 1, 5, 6]  # of a grid of 3 x 5
    assert coarse[0, 0] == pytest.approx(float(plain[first][:, first].sum() / 4), abs=1e-6)
    assert coarse[5, 0] == pytest.approx(float(plain[14, first].sum()), abs=1e-6)


def plain_flood(values: torch.Tensor, place: tuple[int, int]) -> torch.Tensor:
    levels = (values - values[place]).abs()
    reached, waiting = torch.full_like(values, torch.inf), [(0.0, place)]
    reached[place] = 0
    while waiting:
        level, (row, column) = heapq.heappop(waiting)
        for near in ((row, column + 1), (row, column - 1), (row + 1, column), (row - 1, column)):
            if 0 <= near[0] < len(values) and 0 <= near[1] < values.shape[1]:
                own = max(level, float(levels[near]))
                if own < reached[near]:
                    reached[near] = own
                    heapq.heappush(waiting, (own, near))
    return reached


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 17), (30, 8)])
def test_a_flood_takes_the_way_with_the_least_largest_difference(size):
    values = random(*size).round(decimals=1)  # with ties, and differences of 0
    place = size[0] // 2, size[1] // 3
    assert torch.allclose(flood(values, place), plain_flood(values, place))


def test_a_look_alike_is_reached_over_what_lies_between():
    values = torch.tensor([[0.0, 0.1, 5.0, 0.0, 0.2]])
    assert flood(values, (0, 0)).tolist() == [[0, pytest.approx(0.1), 5, 5, 5]]
