"""How long a run will still take, from what its evaluations have cost so far."""

from __future__ import annotations


class TimeLeft:
    """Seconds left of a run whose parts are of several kinds, each kind with its own cost.

    The run expects a number of each kind, with a weight: the expected cost of one, relative to other kinds. A kind that
    has run is charged its own mean. One that has not is charged its weight at the others' rate.
    """

    def __init__(self):
        self.planned: dict[str, int] = {}
        self.weights: dict[str, float] = {}
        self.done: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> int:
        return sum(self.planned.values())

    @property
    def so_far(self) -> int:
        """How many are done, a repeated one counted once."""
        return sum(min(count, self.planned[kind]) for kind, count in self.done.items())

    def expect(self, kind: str, amount: int, weight: float) -> None:
        """`amount` more of `kind` belong to the run, at `weight` each."""
        self.planned[kind] = self.planned.get(kind, 0) + amount
        self.weights[kind] = weight
        self.done.setdefault(kind, 0)
        self.seconds.setdefault(kind, 0.0)

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
        return sum(max(0, count - self.done[kind]) * self._cost(kind, rate) for kind, count in self.planned.items())

    def _cost(self, kind: str, rate: float) -> float:
        return self.seconds[kind] / self.done[kind] if self.done[kind] else self.weights[kind] * rate


def duration_in_words(seconds: float) -> str:
    """A duration as people say it: "40 s", "3 min 20 s", "1 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
