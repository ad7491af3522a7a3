"""Work spread over several machines: one joins in the middle, one fails."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from commands import Command
from host_machines import machines, why_none
from segmented_folders import begun, printed_rows

pytest.importorskip("ray", reason="Ray is not in the Python of this ComfyUI: pip install ray[data]")

from batch.cluster import TRIES

pytestmark = pytest.mark.once
NAMES = 300
STARTING, WHOLE = 120, 600  # seconds, on a machine that does other things too
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


def test_a_machine_may_join_in_the_middle_and_one_may_fail(network, tmp_path, monkeypatch):
    """One works, another joins and takes its share, the first is cut off: all is done, and nearly all once."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    head, one, two = network
    address, diaries = f"{head.address}:{PORT}", tmp_path / "diaries"
    start(head, "--head", "--num-cpus=0", f"--port={PORT}", "--include-dashboard=false")
    start(one, "--num-cpus=1", f"--address={address}")
    work = [sys.executable, Path(__file__).with_name("light_work.py"), tmp_path, address, NAMES]
    with Command(head.inside(*map(str, work)), tmp_path / "said", WHOLE, str(Path(__file__).parent)) as process:
        wait_until_begun(3, diaries, "one", process)
        start(two, "--num-cpus=1", f"--address={address}")
        wait_until_begun(3, diaries, "two", process)
        (tmp_path / "hurry").touch()
        one.kill()
        assert process.wait() == 0, process.said()
    names, printed = {f"name {number}" for number in range(NAMES)}, printed_rows(process)
    assert printed.keys() == names | {"deadly"} and "error" in printed["deadly"]
    counted = Counter(begun(diaries))
    assert counted.pop("deadly") == TRIES
    assert counted.keys() == names and counted.total() <= NAMES + 1


def wait_until_begun(count, diaries, host, process):
    while len(begun(diaries, host)) < count:
        assert process.runs(), process.said()
        time.sleep(0.05)


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
