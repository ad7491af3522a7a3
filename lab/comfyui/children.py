"""The processes that the one command starts, and how they are ended with it."""

import os
import signal
import subprocess
from pathlib import Path

from .environment import HOSTS

LAB = Path(__file__).resolve().parents[1]


def start(command: list[object], host: Path, **options) -> subprocess.Popen:
    """Starts the command. Ctrl-C reaches it by itself; a request to terminate is handed on, so it can clean up."""
    process = subprocess.Popen([str(part) for part in command], env=variables(host), **options)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process


def wait(process: subprocess.Popen) -> int:
    """The exit code, once the command has ended; a Ctrl-C is left for the command to act on."""
    while True:
        try:
            return exit_code(process.wait())
        except KeyboardInterrupt:
            continue


def exit_code(status: int) -> int:
    """A child killed by signal N has the status -N; shells say 128 + N."""
    return status if status >= 0 else 128 - status


def variables(host: Path) -> dict[str, str]:
    """EMERDIFF_HOST tells scripts and tests which ComfyUI to use; PYTHONPATH lets a script import the lab.

    What Python compiles is kept in .host/ even where it is told to keep none: each later start is ten seconds shorter.
    """
    paths = [str(LAB), os.environ.get("PYTHONPATH")]
    own = {"EMERDIFF_HOST": str(host), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    kept = {"PYTHONPYCACHEPREFIX": str(HOSTS / "compiled"), **os.environ}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **own}
