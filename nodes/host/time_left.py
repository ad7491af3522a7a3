"""How long a run will still take, from what its evaluations have cost so far."""

from __future__ import annotations

from collections.abc import Mapping


class TimeLeft:
    """Seconds left of a run whose parts are of several kinds, each kind with its own cost.

    planned, how many of each kind the run has; weights, what one of each kind is expected to cost against the
    others. A kind that has run is charged its own mean; one that has not, its weight at the others' rate.
    """

    def __init__(self, planned: Mapping[str, int], weights: Mapping[str, float]):
        self.planned, self.weights = dict(planned), weights
        self.done = dict.fromkeys(planned, 0)
        self.seconds = dict.fromkeys(planned, 0.0)

    def add(self, kind: str, seconds: float, amount: int = 1) -> None:
        """`amount` more of `kind` are done, and took this long together."""
        self.done[kind] += amount
        self.seconds[kind] += seconds

    def left(self) -> float | None:
        """Seconds still to go; None before anything is done."""
        charged = sum(self.weights[kind] * count for kind, count in self.done.items())
        if not charged:
            return None
        rate = sum(self.seconds.values()) / charged  # seconds for a weight of 1
        return sum((count - self.done[kind]) * self._cost(kind, rate) for kind, count in self.planned.items())

    def _cost(self, kind: str, rate: float) -> float:
        return self.seconds[kind] / self.done[kind] if self.done[kind] else self.weights[kind] * rate


def in_words(seconds: float) -> str:
    """A duration as people say it: "40 s", "3 min 20 s", "1 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
