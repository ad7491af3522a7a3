"""Markov maps (M2N2, CVPR 2025): how many steps of attention lead from a place to every other one.

The self-attention of a network's finest level is read as a Markov chain over the picture's N tokens. Its rows are
sharpened by a temperature, and it is made doubly stochastic, so that no token draws all others. From a token on,
probability spreads, and the step at which a place holds a share of the largest one is its distance: things hold it
back at their borders, as the model sees them.

Chains [N, N] are N times what they are: their mean is 1, whatever N, which suits half precision; every step is
divided by its largest value anyway. Everything lies on one device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

TEMPERATURE = 0.65  # of every row's softmax, published as the rest is
ROUNDS = 200  # of proportional fitting
REACHED = 0.3  # share of the largest probability
MOST_STEPS = 1000
HELD = torch.float16  # what chains are kept in; their mean is 1


def markov_chain(attention: torch.Tensor, temperature: float = TEMPERATURE, rounds: int = ROUNDS) -> torch.Tensor:
    """N times a doubly stochastic chain [N, N] float32, of attention [N, N] whose rows need not sum to 1.

    softmax(log A / temperature) along rows, then proportional fitting, columns and rows in turn. Both only ever scale
    rows and columns, so the scales are fitted, and the matrix is multiplied once.
    """
    sharp = attention.float()
    sharp = (sharp / sharp.amax(1, keepdim=True).clamp_min(1e-30)).pow_(1 / temperature)
    rows = 1 / sharp.sum(1)
    columns = torch.ones_like(rows)
    for _ in range(rounds):
        columns = 1 / (rows @ sharp).clamp_min(1e-30)
        rows = 1 / (sharp @ columns).clamp_min(1e-30)
    return sharp.mul_(rows[:, None]).mul_(columns * len(sharp))


def steps_from(chain: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
    """Steps until each place holds REACHED of the largest probability, from every one of `tokens`: [P, N] float32.

    p <- p A, all of it at the token before the first step; linear between two steps; MOST_STEPS where a place is not
    reached by then.
    """
    chain = chain.float()
    before = torch.eye(len(chain), device=chain.device)[list(tokens)]  # [P, N]
    steps = torch.full_like(before, MOST_STEPS).masked_fill_(before > REACHED, 0)
    for number in range(1, MOST_STEPS + 1):
        after = before @ chain
        after /= after.amax(1, keepdim=True)
        now = number - (after - REACHED) / (after - before).clamp_min(1e-30)
        steps = torch.where((after > REACHED) & (steps == MOST_STEPS), now, steps)
        if not (steps == MOST_STEPS).any():
            break
        before = after
    return steps
