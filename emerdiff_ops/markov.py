"""Markov maps (M2N2, CVPR 2025): the number of attention steps from a place to every other one.

The self-attention of a network's finest level is read as a Markov chain over the picture's N tokens. Its rows are
sharpened by a temperature, and it is made doubly stochastic, so that no token attracts all others. Probability spreads
from a token. The step at which a place holds a share of the largest probability is its distance. The borders of things,
as the model sees them, slow the spread.

Chains [N, N] are stored multiplied by N, so their mean is 1, which suits half precision. The factor does not matter,
because every step is divided by its largest value. All tensors lie on one device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

TEMPERATURE = 0.65  # of every row's softmax; published, as the rest is
ROUNDS = 200  # of proportional fitting
REACHED = 0.3  # share of the largest probability
MOST_STEPS = 1000
HELD = torch.float16  # what chains are kept in; their mean is 1


def markov_chain(attention: torch.Tensor, temperature: float = TEMPERATURE, rounds: int = ROUNDS) -> torch.Tensor:
    """N times a doubly stochastic chain [N, N] float32, from attention [N, N] whose rows need not sum to 1.

    softmax(log A / temperature) along rows, then proportional fitting of columns and rows in turn. Both only scale rows
    and columns. So only the scales are fitted, and the matrix is multiplied once.
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

    A step is p <- p A, with all probability at the token before the first one. Times between two steps are interpolated
    linearly. A place that is not reached gets MOST_STEPS.
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
