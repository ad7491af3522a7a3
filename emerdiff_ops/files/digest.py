"""A short hash of tensors' contents, as fast as reading them, to name files after the data they are drawn from.

Each row of WORDS words of 64 bits x becomes the sum of f(x) * weight modulo 2 ** 64 (multilinear hashing, Carter and
Wegman). The sums, the shapes and the remainder go through SHA-256. The weights are odd, so one changed word always
changes its row's sum. They are random, so several changes seldom cancel. Multiplying carries changes upwards only:
a change of the highest bits alone, as between the floats .5 and 1, would reach few bits of the sum. f(x) = x ^ x >> 29,
which is one to one, brings it down first. Two pictures collide by chance with a probability below 2 ** -32 if a single
pixel differs, and 2 ** -64 for each row whose low bits differ. The hash does not protect against forgery.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

WORDS = 1024  # in a row
ROWS_AT_ONCE = 32  # 256 KiB, which stay in a core's cache
WEIGHTS = np.random.default_rng(0).integers(2**64, size=WORDS, dtype=np.uint64) | np.uint64(1)
SHIFT = np.uint64(29)  # not 32: two floats that change alike in one word must not cancel
LETTERS = 20  # 80 bits


def digest(*tensors: torch.Tensor) -> str:
    """20 hexadecimal digits that tell these tensors' shapes, types and values from others."""
    told = hashlib.sha256()
    for tensor in tensors:
        values = np.ascontiguousarray(tensor.cpu().numpy())
        told.update(f"{values.shape} {values.dtype}".encode())
        values = values.reshape(-1).view(np.uint8)
        whole = len(values) - len(values) % (8 * WORDS)
        rows = values[:whole].view(np.uint64).reshape(-1, WORDS)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            told.update(_sums(rows[start : start + ROWS_AT_ONCE]).tobytes())
        told.update(values[whole:].tobytes())
    return told.hexdigest()[:LETTERS]


def _sums(rows: np.ndarray) -> np.ndarray:
    folded = rows >> SHIFT
    folded ^= rows
    return folded @ WEIGHTS  # [rows] uint64, modulo 2 ** 64
