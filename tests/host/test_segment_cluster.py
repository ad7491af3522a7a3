"""Work spread over processes and machines by Ray: killed workers, given up names, addresses without a cluster."""

import contextlib
import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import Command
from segmented_folders import begun, comparable, fill, printed_rows, rows, run

pytest.importorskip("ray", reason="Ray is not in the Python of this ComfyUI: pip install ray[data]")

import journal
from batch import cluster
from batch.machines import Diary, missing
from reasons import Stop

pytestmark = pytest.mark.once
WHOLE = 600  # seconds that Ray and its workers may take, on a machine that does other things too


# --- where there is no cluster ---


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.0.0.1", "nowhere.invalid:6379", "127.0.0.1:70000", "ray://a:b"]
)
def test_an_address_without_a_cluster_is_said_at_once(tmp_path, monkeypatch, capsys, address):
    fill(tmp_path / "pictures", ["a.png"])
    begin = time.monotonic()
    assert run(monkeypatch, tmp_path / "pictures", tmp_path / "results", "--cluster", address) == 1
    assert time.monotonic() - begin < 20
    assert f"No cluster answers at {address} (" in capsys.readouterr().err
    assert not (tmp_path / "results" / "segments.jsonl").exists()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_not_ray_is_told_apart(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_once, args=(server, answer), daemon=True).start()
        with pytest.raises(Stop, match="what answers there is not Ray"):
            cluster.join(f"127.0.0.1:{server.getsockname()[1]}")


def answer_once(server, answer):
    with server.accept()[0] as line:
        line.recv(100)
        line.sendall(answer)


@pytest.mark.parametrize("error", [cluster.RayError, cluster.ExecutionTimeoutError])
def test_a_cluster_that_fails_or_gives_nothing_any_more_is_a_sentence(tmp_path, monkeypatch, error):
    def no_rows():
        raise error("no machine is left\nat all")

    monkeypatch.setattr(cluster, "connected", lambda where: contextlib.nullcontext())
    monkeypatch.setattr(cluster, "pool", lambda *_: SimpleNamespace(iter_rows=no_rows))
    with pytest.raises(Stop, match=r"The cluster failed \(no machine is left\); the same command goes on\."):
        list(cluster.spread(None, None, ["a"], cluster.Cluster("local", None, tmp_path / "diaries", ())))


# --- shares ---


@pytest.mark.parametrize(
    ("machines", "workers", "expected"),
    [
        ([{"CPU": 2}], None, (0, 2, 1)),
        ([{"CPU": 2}], 2, (0, 1, 2)),
        ([{"CPU": 4}], 4, (0, 1, 4)),
        ([{"CPU": 16}, {"CPU": 8}], None, (0, 8, 2)),
        ([{"CPU": 16}, {"CPU": 8}], 4, (0, 4, 4)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 8, "GPU": 1}], None, (1, 1, 3)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 0}], 1, (1, 1, 1)),
    ],
)
def test_each_worker_gets_a_gpu_or_its_share_of_the_cores(monkeypatch, machines, workers, expected):
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [{"Alive": True, "Resources": each} for each in machines])
    assert cluster.share(workers) == expected


def test_a_cluster_without_cores_is_refused(monkeypatch):
    dead = {"Alive": False, "Resources": {"CPU": 4}}
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [dead, {"Alive": True, "Resources": {}}])
    with pytest.raises(Stop, match="gives it processor cores"):
        cluster.share(None)


def test_batches_are_small_and_never_too_many():
    assert [cluster.batch_of(count) for count in (1, 1999, 2000, 10**6)] == [1, 1, 2, 32]


def test_what_a_machine_does_not_see_is_named(tmp_path):
    assert missing([tmp_path]) == ""
    assert missing([tmp_path, tmp_path / "a", tmp_path / "b"]).endswith(f"does not see {tmp_path}/a, {tmp_path}/b")


# --- a worker, without Ray ---


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Starts the one worker once more."""
    context = SimpleNamespace(get_actor_id=lambda: "worker")
    monkeypatch.setattr(cluster.ray, "get_runtime_context", lambda: context)

    def start(make=lambda job: lambda name: {"job": job, "name": name}):
        return cluster.Worker(cluster.ray.cloudpickle.dumps((make, "job")), tmp_path)

    return start


def done(worker, *names):
    """[name, row, why nothing can go on] of each."""
    return [json.loads(worker({"item": json.dumps(name)})["done"]) for name in names]


def test_a_worker_gives_a_row_a_name_and_keeps_a_diary(worker, tmp_path):
    strange = os.fsdecode(b"\xff\n")
    assert done(worker(), "a", strange) == [[name, {"job": "job", "name": name}, ""] for name in ("a", strange)]
    assert Diary(tmp_path / "worker.jsonl").before == {
        ("starts", ""): 1,
        ("has its model", ""): 1,
        **{(what, name): 1 for what in ("begins", "ends") for name in ("a", strange)},
    }


def test_what_stops_the_work_stops_the_run(worker):
    def no_room(name):
        raise Stop("no room")

    def no_model(job):
        raise MemoryError

    assert done(worker(lambda job: no_room), "a") == [["a", None, "no room"]]
    assert done(worker(no_model), "a") == [["a", None, f"MemoryError [{socket.gethostname()}]"]]


class End(BaseException):
    """In a worker's place: what no worker survives."""


def deadly(_):
    raise End


def test_a_name_that_ends_its_worker_is_given_up(worker):
    for _ in range(cluster.TRIES):
        with pytest.raises(End):
            done(worker(lambda job: deadly), "a")
    assert done(worker(lambda job: deadly), "a")[0][1] == {
        "error": "its worker ended 3 times over it, most likely for want of memory"
    }


def test_a_model_that_ends_its_worker_stops_the_run(worker):
    for _ in range(cluster.TRIES):
        with pytest.raises(End):
            worker(deadly)
    assert "A worker ended 3 times while it loaded the model" in done(worker(deadly), "a")[0][2]


# --- the command ---


def test_the_command_hands_its_pictures_out_and_writes_down_what_comes_back(tmp_path, monkeypatch):
    """Their work goes through what would be sent, and comes back in another order."""
    folder, output = tmp_path / "pictures", tmp_path / "results"
    fill(folder, ["a.png", "b.png"])

    def spread(make, job, names, where):
        assert where == cluster.Cluster("local", 2, output / "workers", (folder, output))
        work = pickle.loads(pickle.dumps(make))(pickle.loads(pickle.dumps(job)))
        return ((name, work(name)) for name in reversed(names))

    monkeypatch.setattr(cluster, "spread", spread)
    assert run(monkeypatch, folder, output, "--cluster", "local", "--workers", "2") == 0
    assert [row["path"] for row in rows(output)] == ["b.png", "a.png"]
    assert run(monkeypatch, folder, tmp_path / "here") == 0
    assert comparable(output) == comparable(tmp_path / "here")


# --- with Ray, on this machine ---


def test_killed_workers_lose_nothing_and_repeat_one_name(tmp_path):
    """Two workers: one is killed at its work, another ends over a name each time."""
    command = [sys.executable, Path(__file__).with_name("light_work.py"), tmp_path, "local", 30]
    with Command(command, tmp_path / "log", WHOLE, str(Path(__file__).parent)) as process:
        kill_one(tmp_path / "diaries", process)
        (tmp_path / "hurry").touch()
        assert process.wait() == 0, process.said()
    names = [f"name {number}" for number in range(30)]
    printed = printed_rows(process)
    assert printed.keys() == {*names, "deadly"} and all(printed[name] == {"length": len(name)} for name in names)
    assert "ended 3 times over it" in printed["deadly"]["error"]
    counted = Counter(begun(tmp_path / "diaries"))
    assert counted.pop("deadly") == cluster.TRIES
    assert counted.keys() == set(names) and counted.total() <= len(names) + 1


def kill_one(diaries, process):
    """Kills a worker that is at a name which does not end it."""
    while process.runs():
        for diary in diaries.glob("*.jsonl"):
            last = {"name": "", **(journal.read(diary) or [{}])[-1]}
            if last["name"].startswith("name") and last["does"] == "begins":
                os.kill(last["process"], signal.SIGKILL)
                return
        time.sleep(0.05)
    raise AssertionError(process.said())
