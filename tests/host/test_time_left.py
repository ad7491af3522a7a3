"""The estimate of the time a run still needs, on runs whose true times are known."""

import pytest
from emerdiff.nodes.host.time_left import TimeLeft, duration_in_words

pytestmark = pytest.mark.once
PLANNED = {"first": 10, "later": 140, "decode": 20}
WEIGHTS = {"first": 0.5, "later": 1.0, "decode": 3.0}


def expecting(planned: dict[str, int]) -> TimeLeft:
    clock = TimeLeft()
    for kind, amount in planned.items():
        clock.expect(kind, amount, WEIGHTS[kind])
    return clock


def errors(costs: dict[str, float], order: list[str]) -> list[float]:
    """Relative errors of the estimate against the true time left, after the first tenth and up to the last part."""
    clock = expecting(PLANNED)
    remaining = total = sum(costs[kind] for kind in order)
    found = []
    for kind in order[:-1]:
        clock.add(kind, costs[kind])
        remaining -= costs[kind]
        if remaining <= 0.9 * total:
            found.append(abs(clock.left() - remaining) / remaining)
    return found


ORDER = (["first"] * 5 + ["later"] * 70) * 2 + ["decode"] * 20


@pytest.mark.parametrize("unit", [0.01, 2.0])
def test_right_when_the_kinds_cost_what_was_expected(unit):
    assert max(errors({kind: unit * weight for kind, weight in WEIGHTS.items()}, ORDER)) < 1e-6


def test_a_wrong_guess_of_a_kind_is_forgotten_once_it_has_run():
    found = errors({"first": 2.0, "later": 1.0, "decode": 3.0}, ORDER)
    assert max(found) < 0.2
    assert max(errors({"first": 1.0, "later": 1.0, "decode": 30.0}, ORDER)[-19:]) < 1e-6


def test_nothing_is_said_before_anything_is_known_and_nothing_is_left_at_the_end():
    clock = expecting({"later": 2})
    assert clock.left() is None
    clock.add("later", 3.0)
    assert clock.left() == 3.0
    clock.add("later", 3.0)
    assert clock.left() == 0.0


def test_durations_in_words():
    assert [duration_in_words(s) for s in (0.4, 59.4, 59.6, 200, 3900)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "3 min 20 s",
        "1 h 5 min",
    ]
