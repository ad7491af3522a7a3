"""What workers' diaries come to."""

import json

import pytest

from measure import speed_cluster


def test_the_rate_is_that_while_all_workers_were_at_work(tmp_path):
    """One from second 1 to 9, a picture a second; the other from 4 to 20, one in two seconds."""
    diary(tmp_path / "a.jsonl", 0, [(second, second + 1) for second in range(1, 9)])
    diary(tmp_path / "b.jsonl", 3, [(second, second + 2) for second in range(4, 20, 2)])
    workers = [speed_cluster.times(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    assert speed_cluster.rate(workers) == pytest.approx((5 + 2) / 5)
    assert speed_cluster.rate(workers[:1]) == pytest.approx(1)


def diary(file, starts, pictures):
    lines = [(starts, "starts"), (starts + 0.5, "has its model")]
    for begins, ends in pictures:
        lines += [(begins, "begins"), (ends, "ends")]
    notes = [{"time": f"2026-01-01 00:00:{second:06.3f}", "does": does} for second, does in lines]
    file.write_text("".join(json.dumps(note) + "\n" for note in notes))
