"""The same work by many processes and machines: Ray Data, and a pool of actors that each hold a model on a device.

What travels is names and lines, however large the pictures are: all machines see the same files. When a worker ends,
Ray starts it again and hands it the batch it was at; what it ends over every time is given up.
"""

import contextlib
import json
import logging
import os
import pickle
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batch.machines import Diary, missing
from comfyui.in_process import load_pack, start_host
from reasons import Stop, in_words

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads them when it is imported
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
import ray.data
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

LAB = Path(__file__).resolve().parents[1]
STORE = 200 * 2**20  # bytes that a local Ray keeps for what travels
PATIENCE = 5.0  # seconds that a cluster may take to answer
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # an empty frame of HTTP/2 of that type
STARTING = 120.0  # seconds in which each of its machines has to start a process
LONGEST = 12 * 60 * 60  # seconds without any result; a picture by the paper's steps may take one without a GPU
TRIES = 3  # of a name that its worker ends over, and of a model that it ends over while it loads
SENT = ("PYTHONPATH", "EMERDIFF_HOST")  # by which workers elsewhere find the lab and ComfyUI
SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}


class Cluster(NamedTuple):
    address: str  # "local", or HOST:PORT of one that is there
    workers: int | None  # at most; None: one for each GPU, or for each machine where there is none
    diaries: Path  # a folder for what each worker did when
    seen: tuple[Path, ...]  # what every machine has to see


def spread(make: Callable, job: Any, names: Sequence[str], cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    """make(job)(name) for every name, on the cluster: (name, row) in the order in which they are done.

    A row with "error" stands for a name that ended its worker every time. Stop where there is no cluster, and where
    make or the work raises.
    """
    with connected(cluster):
        cluster.diaries.mkdir(parents=True, exist_ok=True)
        try:
            for line in pool(make, job, names, cluster).iter_rows():
                name, row, reason = json.loads(line["done"])
                if reason:
                    raise Stop(reason)
                yield name, row
        except (RayError, ExecutionTimeoutError) as error:
            raise Stop(f"The cluster failed ({in_words(error)}); the same command goes on.") from error


# --- a cluster to work on ---


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """While this process may use it. Ray adds the folder that this is done in to the sys.path of its workers."""
    with contextlib.chdir(LAB):
        if cluster.address == "local":
            start(max(os.cpu_count() or 1, cluster.workers or 1))
        else:
            join(cluster.address)
    try:
        if cluster.address != "local":
            check_machines(cluster.seen)
        yield
    finally:
        ray.shutdown()


def start(cores: int) -> None:
    """A Ray of this machine's own, that only this process and its workers can talk to, for as long as it lives."""
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray leaves one in the user's home
    here: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE, "_node_ip_address": "127.0.0.1"}
    for last in (False, False, True):
        try:
            ray.init("local", num_cpus=cores, **here, **SILENT)
            return
        except Exception as error:  # Ray waits 30 seconds for its own processes, which a busy machine may exceed
            if last:
                raise Stop(f"Ray does not start here ({in_words(error)}): try again when less runs.") from error


def join(address: str) -> None:
    """A cluster that is there already; Ray itself would wait for minutes for one that is not."""
    try:
        greet(*address.rpartition(":")[::2])
    except (OSError, ValueError, OverflowError) as error:
        raise Stop(
            f"No cluster answers at {address} ({in_words(error)}): --cluster takes local, or HOST:PORT of what "
            "ray start --head began there."
        ) from error
    sent = {name: os.environ[name] for name in SENT if name in os.environ}
    try:
        ray.init(address, runtime_env={"env_vars": sent}, **SILENT)
    except Exception as error:  # of many kinds
        raise Stop(
            f"This machine is not part of a Ray cluster at {address} ({in_words(error)}): give the command where ray "
            "start was given."
        ) from error


def greet(host: str, port: str) -> None:
    """An error unless HTTP/2 is spoken there, as Ray does: the first frame is then SETTINGS (RFC 9113, section 3.4)."""
    with socket.create_connection((host, int(port)), PATIENCE) as line:
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
        if line.recv(len(SETTINGS))[3:4] != SETTINGS[3:4]:
            raise ValueError("what answers there is not Ray")


def check_machines(paths: Sequence[Path]) -> None:
    """Stop where a machine does not have this project at its place, or does not see the paths."""
    remote = ray.remote(num_cpus=0, max_retries=0)(missing)
    for machine in machines():
        on_it = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
        name = machine["NodeManagerHostname"]
        try:
            fault = ray.get(remote.options(scheduling_strategy=on_it).remote(paths), timeout=STARTING)
        except RayError as error:
            fault = f"{name} has no such project at {LAB.parent}, or starts no process ({in_words(error)})"
        if fault:
            raise Stop(f"{fault}: every machine of the cluster needs it at the same place.")


def machines() -> list[dict[str, Any]]:
    """Those of the cluster that give it cores."""
    found = [each for each in ray.nodes() if each["Alive"] and each["Resources"].get("CPU", 0) >= 1]
    if not found:
        raise Stop("No machine of the cluster gives it processor cores: leave out --num-cpus 0 of ray start on one.")
    return found


# --- the work on it ---


def pool(make: Callable, job: Any, names: Sequence[str], cluster: Cluster) -> ray.data.Dataset:
    """The work as Ray Data knows it. Names and rows are JSON, which holds file names of any encoding."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = LONGEST
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    size, (gpus, cores, first) = batch_of(len(names)), share(cluster.workers)
    sent = ray.data.from_items([json.dumps(name) for name in names], override_num_blocks=-(-len(names) // size))
    workers = ray.data.ActorPoolStrategy(min_size=1, max_size=cluster.workers, initial_size=first)
    given = ray.cloudpickle.dumps((make, job)), cluster.diaries
    needs: dict[str, Any] = {"compute": workers, "num_cpus": cores, "num_gpus": gpus}
    return sent.map(Worker, fn_constructor_args=given, **needs)


def batch_of(count: int) -> int:
    """Names that travel together: one where there are few, and never so many batches that they fill the memory."""
    return max(1, min(32, count // 1000))


def share(workers: int | None) -> tuple[int, int, int]:
    """GPUs and cores of a worker, and how many workers there are at first."""
    found = [each["Resources"] for each in machines()]
    gpus = int(sum(each.get("GPU", 0) for each in found))
    if gpus:
        return 1, 1, workers or gpus
    count = workers or len(found)
    of_each = -(-count // len(found))
    return 0, max(1, int(min(each["CPU"] for each in found)) // of_each), count


class Worker:
    """An actor: the work with its model, and a diary. What imports ComfyUI is unpickled once that is there."""

    def __init__(self, sent: bytes, diaries: Path):
        self.diary = Diary(diaries / f"{ray.get_runtime_context().get_actor_id()}.jsonl")
        self.reason = ""
        self.diary.note("starts")
        try:
            if self.diary.before["starts", ""] - self.diary.before["has its model", ""] >= TRIES:
                raise Stop(f"A worker ended {TRIES} times while it loaded the model, most likely for want of memory.")
            start_host()
            load_pack()
            make, job = pickle.loads(sent)
            self.work = make(job)
        except Exception as error:
            self.reason = f"{in_words(error)} [{socket.gethostname()}]"
        self.diary.note(self.reason or "has its model")

    def __call__(self, sent: dict[str, str]) -> dict[str, str]:
        """A name's row; or why nothing can go on."""
        name, row, reason = json.loads(sent["item"]), None, self.reason
        try:
            row = None if reason else self.row(name)
        except Exception as error:
            reason = in_words(error)
        return {"done": json.dumps([name, row, reason])}

    def row(self, name: str) -> dict[str, Any]:
        if self.diary.before["begins", name] >= TRIES:
            return {"error": f"its worker ended {TRIES} times over it, most likely for want of memory"}
        self.diary.note("begins", name)
        made = self.work(name)
        self.diary.note("ends", name)
        return made
