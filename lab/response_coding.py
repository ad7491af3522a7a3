"""Fewer runs than masks: every run pushes many masks at once, each up or down, and the answers are told apart after.

Run r pushes the UNet by lambda * sum_k C[r, k] M_k with C of +-1. To first order the picture then changes by
y_r = sum_k C[r, k] u_k, u_k being what mask k alone would do. Fewer runs than masks leave u underdetermined at a pixel,
but only the masks near it matter there: with a prior variance w_k from the blurred masks, the posterior mean is
u = W C^T (C W C^T + noise)^-1 y.
"""

from __future__ import annotations

import torch
from emerdiff.emerdiff_ops.difference import gaussian_smooth

ROUNDS = 40
CELLS = 1.0  # blur of the masks for the prior, in cells of the UNet's grid
FLOOR = 0.01
NOISE = 0.05


def make_codes(masks: torch.Tensor, runs: int, seed: int = 0) -> torch.Tensor:
    """C [runs, K] of +-1, flipped one by one while neighbouring masks' columns become more orthogonal."""
    blurred = gaussian_smooth(masks, CELLS).flatten(1)  # [K, h*w]
    closeness = (blurred @ blurred.T).fill_diagonal_(0)
    codes = torch.randint(0, 2, (runs, len(masks)), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    overlap = codes.T @ codes
    for _ in range(ROUNDS):
        flipped = False
        for run in range(runs):
            for mask in range(len(masks)):
                change = -2 * codes[run, mask] * codes[run]  # of row `mask` of the overlap
                gain = (closeness[mask] * ((overlap[mask] + change) ** 2 - overlap[mask] ** 2)).sum()
                if gain < -1e-6:
                    codes[run, mask] *= -1
                    overlap = codes.T @ codes
                    flipped = True
        if not flipped:
            break
    return codes


def difference_maps(answers: torch.Tensor, codes: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """|| u_k || [K, H, W] of answers y [R, H, W, 3], codes C [R, K] and masks [K, h, w]."""
    blurred = gaussian_smooth(masks, CELLS)[None]
    size = tuple(answers.shape[1:3])
    prior = torch.nn.functional.interpolate(blurred, size, mode="bilinear")[0].movedim(0, -1) + FLOOR  # [H, W, K]
    covariance = torch.einsum("hwk,rk,sk->hwrs", prior, codes, codes) + NOISE * len(codes) * torch.eye(len(codes))
    weights = torch.linalg.solve(covariance, answers.permute(1, 2, 0, 3))  # [H, W, R, 3]
    alone = prior[..., None] * torch.einsum("rk,hwrc->hwkc", codes, weights)  # [H, W, K, 3]
    return torch.linalg.vector_norm(alone, dim=-1).movedim(-1, 0)
