"""A real ComfyUI server for the demo and the tests: on a free port, with our packs, always stopped."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import aiohttp

from comfyui.hosts import NEWEST, ensure_host
from reasons import Stop

ROOT = Path(__file__).resolve().parents[2]
PACKS = {"ComfyUI-EmerDiff": ROOT, "emerdiff_small_model": ROOT / "lab" / "small_model"}
FOLDERS = ("custom_nodes", "models/checkpoints", "input", "output", "temp", "user")
START_SECONDS = 600
GRACE_SECONDS = 10

Progress = Callable[[str, int, int], None]  # node class, steps done, steps in all
Text = Callable[[str, str], None]  # node id, the line of text it shows
TEXT_EVENT = 3  # ComfyUI's BinaryEventTypes.TEXT


class ServerError(Stop):
    """The server did not start, or died."""


class WorkflowError(Stop):
    """The server refused a prompt, or a node in it failed; the message is the server's."""


class Interrupted(RuntimeError):
    """The prompt was cancelled."""


class HostServer:
    """`with HostServer() as server: outputs = server.run(prompt)`.

    The ComfyUI that is used has its data in a folder of their own, removed at the end.
    """

    def __init__(self, flags: tuple[str, ...] | None = None, packs: Mapping[str, Path] = PACKS):
        self.host = default_host()
        self.flags = device_flags() if flags is None else flags
        self.packs = packs

    def __enter__(self) -> Self:
        self.base = Path(tempfile.mkdtemp(prefix="emerdiff-host-"))
        self.log = self.base / "server.log"
        self.address = f"127.0.0.1:{_free_port()}"
        self._process: subprocess.Popen | None = None
        try:
            self._make_folders()
            self._process = self._start()
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def _make_folders(self) -> None:
        for folder in FOLDERS:
            (self.base / folder).mkdir(parents=True)
        for name, source in self.packs.items():
            _link(source, self.base / "custom_nodes" / name)
        example = self.host / "input" / "example.png"
        if example.exists():
            shutil.copy(example, self.base / "input")

    def _start(self) -> subprocess.Popen:
        address, port = self.address.split(":")
        where = ["--listen", address, "--port", port, "--base-directory", self.base]
        quiet = ["--database-url", "sqlite:///:memory:", "--disable-auto-launch", "--disable-api-nodes"]
        command = [str(word) for word in (sys.executable, "main.py", *where, *quiet, *self.flags)]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.host,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_it_answers(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"ComfyUI stopped while starting. The end of its log:\n{self.log_tail()}")
            with contextlib.suppress(OSError):
                self.get("/system_stats")
                return
            time.sleep(0.2)
        raise ServerError(f"ComfyUI did not answer in {START_SECONDS} s. The end of its log:\n{self.log_tail()}")

    def stop(self) -> None:
        """End the server and everything it started, and remove its folder."""
        if self._process is not None:
            _end_group(self._process)
        shutil.rmtree(self.base, ignore_errors=True)

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # -- files

    def put_input(self, name: str, data: bytes) -> None:
        """Put a file into the server's input folder."""
        (self.base / "input" / name).write_bytes(data)

    def link_checkpoint(self, checkpoint: Path) -> str:
        """Make a checkpoint file known to the server; its name for CheckpointLoaderSimple."""
        _link(Path(checkpoint).resolve(), self.base / "models" / "checkpoints" / Path(checkpoint).name)
        return Path(checkpoint).name

    def fetch(self, file: Mapping[str, str]) -> bytes:
        """The bytes of a file entry of a node's outputs: `{"filename", "subfolder", "type"}`."""
        return self.get("/view?" + urllib.parse.urlencode(file))

    # -- HTTP

    def get(self, path: str) -> bytes:
        return self._send(urllib.request.Request(f"http://{self.address}{path}"))

    def post(self, path: str, value) -> bytes:
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(f"http://{self.address}{path}", json.dumps(value).encode(), headers))

    def _send(self, request: urllib.request.Request) -> bytes:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
        with direct.open(request, timeout=60) as answer:
            return answer.read()

    def version(self) -> str:
        return json.loads(self.get("/system_stats"))["system"]["comfyui_version"]

    def object_info(self) -> dict:
        return json.loads(self.get("/object_info"))

    def history(self, prompt_id: str) -> dict:
        """What the server remembers of a finished prompt: its `outputs` and `status`."""
        return json.loads(self.get(f"/history/{prompt_id}"))[prompt_id]

    def interrupt(self) -> None:
        self.post("/interrupt", {})

    def queue(self, prompt: dict, client_id: str = "") -> str:
        """Queue a prompt; its id."""
        try:
            return json.loads(self.post("/prompt", {"prompt": prompt, "client_id": client_id}))["prompt_id"]
        except urllib.error.HTTPError as refusal:
            raise WorkflowError(_refusal(json.load(refusal))) from None

    # -- running

    def run(
        self, prompt: dict, on_progress: Progress | None = None, on_text: Text | None = None, timeout: float = 600
    ) -> dict:
        """Queue a prompt and wait: the UI outputs by node id. WorkflowError or Interrupted if it did not finish."""
        try:
            prompt_id = asyncio.run(asyncio.wait_for(self._follow(prompt, on_progress, on_text), timeout))
        except TimeoutError:
            self.interrupt()
            raise TimeoutError(f"no result after {timeout} s; the end of the log:\n{self.log_tail()}") from None
        entry = self.history(prompt_id)
        _raise_failure(entry["status"]["messages"])
        # A node that expanded into others shows what the last of them showed: 7 what 7.0.0.3 did. The entry's own
        # "display_node" is of another node where two expanded into a step that is the same, which ran but once.
        return {node.split(".")[0]: shown for node, shown in entry["outputs"].items()}

    async def _follow(self, prompt: dict, on_progress: Progress | None, on_text: Text | None) -> str:
        client = uuid.uuid4().hex
        socket_address = f"http://{self.address}/ws?clientId={client}"
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_address, max_msg_size=0) as events:
            prompt_id = self.queue(prompt, client)
            async for event in events:
                if event.type != aiohttp.WSMsgType.TEXT:
                    if on_text and int.from_bytes(event.data[:4], "big") == TEXT_EVENT:
                        on_text(*_node_and_text(event.data[4:]))
                    continue
                message = event.json()
                data = message.get("data") or {}
                if data.get("prompt_id") != prompt_id:
                    continue
                if message["type"] == "executing" and data["node"] is None:
                    return prompt_id
                if message["type"] == "progress" and on_progress:
                    node = prompt[data["node"].split(".")[0]]  # "5.0.2" is a node that node 5 expanded to
                    on_progress(node["class_type"], data["value"], data["max"])
        raise ServerError(f"ComfyUI went away during a run. The end of its log:\n{self.log_tail()}")


def default_host() -> Path:
    """The ComfyUI that EMERDIFF_HOST names, or the newest that the set-up fetches."""
    return Path(os.environ["EMERDIFF_HOST"]) if "EMERDIFF_HOST" in os.environ else ensure_host(NEWEST)


def device_flags() -> tuple[str, ...]:
    """`--cpu` where torch finds no accelerator."""
    import torch

    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    return () if accelerated else ("--cpu",)


def interrupt_on_termination() -> None:
    """Make SIGTERM and SIGHUP act like Ctrl-C, so that `with` blocks end and a server is stopped."""

    def interrupt(*_):
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _link(source: Path, target: Path) -> None:
    """A symbolic link, or a copy where the system does not permit links."""
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", "*_output", "__pycache__"))
        else:
            shutil.copy(source, target)


def _end_group(process: subprocess.Popen) -> None:
    """Ask the process group to end; after a grace, kill it."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
        process.wait()
        return
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def _node_and_text(data: bytes) -> tuple[str, str]:
    """A text event: the length of the node's id in four bytes, the id, the text."""
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end].decode(), data[end:].decode()


def _refusal(answer: dict) -> str:
    """The sentences of a refused prompt: the general one, then each node's."""
    lines = [answer["error"]["message"]]
    for node in answer["node_errors"].values():
        lines += [f"{node['class_type']}: {error['message']}: {error['details']}" for error in node["errors"]]
    return "\n".join(lines)


def _raise_failure(messages: list) -> None:
    for kind, data in messages:
        if kind == "execution_interrupted":
            raise Interrupted(f"cancelled in {data['node_type']}")
        if kind == "execution_error":
            raise WorkflowError(f"{data['node_type']}: {data['exception_message'].strip()}")
