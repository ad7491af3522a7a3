"""Seconds, counted FLOPs and peak memory of several jobs that do the same work, measured in turn."""

import gc
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

MATRIX = 2048
QUICK_MATRIX = 256  # emulated bf16 is a hundred times slower; this is still over in a moment
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Name = TypeVar("Name", bound=Hashable)


class Measured(NamedTuple):
    seconds: list[float]
    flops: int  # of matrix products, convolutions and attention
    peak: int  # bytes above what was held before

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the seconds; least and most where there are fewer than four."""
        if len(self.seconds) < 4:
            return min(self.seconds), max(self.seconds)
        first, _, third = quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def compare(jobs: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, Measured]:
    """Every job once to warm up and to count, then all of them in turn, `rounds` times; with none, that once counts."""
    seconds, counts = {}, {}
    for name, job in jobs.items():
        begin = time.perf_counter()
        counts[name] = count(job)
        seconds[name] = [] if rounds else [time.perf_counter() - begin]
    for _ in range(rounds):
        for name, job in jobs.items():
            seconds[name].append(seconds_of(job))
    return {name: Measured(seconds[name], *counts[name]) for name in jobs}


def count(job: Callable[[], object]) -> tuple[int, int]:
    """FLOPs and peak memory of one run."""
    gc.collect()
    before = reset_peak()
    with FlopCounterMode(display=False) as counter:
        job()
    return counter.get_total_flops(), peak() - before


def seconds_of(job: Callable[[], object]) -> float:
    synchronize()
    begin = time.perf_counter()
    job()
    synchronize()
    return time.perf_counter() - begin


def matrix_rate(dtype: torch.dtype, device: torch.device, size: int = MATRIX) -> float:
    """FLOP/s of a square matrix product, the best of ten."""
    a, b = (torch.randn(size, size).to(device, dtype) for _ in range(2))
    best = min(seconds_of(lambda: a @ b) for _ in range(10))
    return 2 * size**3 / best


def fastest_precision() -> str:
    """ "bf16" where matrices are multiplied faster in it, else "fp32": many processors only emulate bf16."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return max(("fp32", "bf16"), key=lambda name: matrix_rate(PRECISIONS[name], device, QUICK_MATRIX))


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> int:
    """Forget the peak so far; the bytes held now."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))
