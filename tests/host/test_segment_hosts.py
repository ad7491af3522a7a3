"""`lab/run.py segment --cluster` on several machines, one of which fails in the middle."""

import sys
import time
from pathlib import Path

import pytest
from commands import Command
from host_machines import machines, why_none
from segmented_folders import begun, fill, labels_of, rows, run

pytest.importorskip("ray", reason="Ray is not in the Python of this ComfyUI: pip install ray[data]")

STARTING, WHOLE = 120, 420  # seconds, on a machine that does other things too
ATTEMPTS = 3  # Ray itself gives its processes 30 seconds to start
PORT = 6379


@pytest.fixture
def network(tmp_path):
    """Three machines: one to give commands at, two to work."""
    reason = why_none()
    if reason:
        pytest.skip(reason)
    with machines(tmp_path, "head", "one", "two") as made:
        yield made


def test_a_machine_that_fails_loses_nothing(network, tmp_path, monkeypatch):
    """Two machines at work, each with one core; the first is cut off when it has begun its third picture."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    head, one, two = network
    names = [f"{number:02}.png" for number in range(24)]
    fill(tmp_path / "pictures", names)
    output, address = tmp_path / "results", f"{head.address}:{PORT}"
    start(head, "--head", "--num-cpus=0", f"--port={PORT}", "--include-dashboard=false")
    for worker in (one, two):
        start(worker, "--num-cpus=1", f"--address={address}")
    arguments = [tmp_path / "pictures", "--output", output, "--cluster", address]
    command = [sys.executable, "-P", "-m", "batch.segment", *map(str, arguments)]
    with Command(head.inside(*command), tmp_path / "said", WHOLE) as process:
        while len(begun(output / "workers", "one")) < 3:
            assert process.runs(), process.said()
            time.sleep(0.05)
        one.kill()
        assert process.wait() == 0, process.said()
    assert sorted(row["path"] for row in rows(output)) == names
    of_one, of_two = begun(output / "workers", "one"), begun(output / "workers", "two")
    assert set(of_one) | set(of_two) == set(names) and len(of_one) + len(of_two) <= len(names) + 1
    assert run(monkeypatch, tmp_path / "pictures", tmp_path / "here") == 0
    for name in names:
        assert (labels_of(output, name) == labels_of(tmp_path / "here", name)).mean() > 0.99


def start(machine, *words):
    """Ray on a machine; it ends with the machine."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
    options = [f"--node-ip-address={machine.address}", "--object-store-memory=80000000"]
    for _ in range(ATTEMPTS):
        process = Command(machine.inside(*ray, *options, *words), machine.files / "said", STARTING).__enter__()
        while process.runs() and "Ray runtime started" not in process.said():
            time.sleep(0.1)
        if process.runs():
            return
        machine.kill()
    raise AssertionError(process.said())
