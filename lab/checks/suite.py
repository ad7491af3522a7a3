"""The tests: which runs of pytest there are, on which ComfyUI, and several at a time.

A run of small tensors gains little by a second thread, and two runs whose threads outnumber the processor's cores
lose a lot: so two go on at a time, each with its share of the threads.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from comfyui.children import exit_code, start, variables, wait
from comfyui.environment import ROOT
from comfyui.hosts import NEWEST, OLDEST, host_version
from comfyui.own import own_comfyui

TESTS = ROOT / "tests"
TIERS = ("pure", "host", "server", "browser", "quality")
ON_OLDEST = {"host": "host and not once", "server": "server"}
EVERY_TIER = ("host", "browser", "server", "quality", "pure")  # the longest run first, so that both cores end together
AT_A_TIME = 2
PYTEST_NO_TESTS = 5  # an exit code of pytest
MODULES = {
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "hypothesis": "hypothesis",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
}

Plan = list[tuple[str, str | None]]  # of each run the version of ComfyUI and a marker expression (None: every test)


def plan_of(tier: str | None, version: str | None) -> Plan:
    """The runs to do, the longest first."""
    if version or own_comfyui():
        return [(version or NEWEST, tier)]
    if tier:
        return [(NEWEST, tier), *([(OLDEST, ON_OLDEST[tier])] if tier in ON_OLDEST else [])]
    newest: Plan = [(NEWEST, each) for each in EVERY_TIER]
    return [*newest[:2], (OLDEST, ON_OLDEST["host"]), *newest[2:]]


def in_browser(plan: Plan, rest: list[str]) -> bool:
    """Whether a run has tests in a browser, as far as its marker and the files it names tell."""
    folders = [Path(each.split("::")[0]).resolve() for each in rest]
    named = [each for each in folders if each.is_relative_to(TESTS)]
    chosen = not named or TESTS in named or any(each.is_relative_to(TESTS / "browser") for each in named)
    return chosen and any(marker is None or "browser" in marker for _, marker in plan)


class Run(NamedTuple):
    """A run of pytest on one ComfyUI, before it is started."""

    marker: str | None
    python: Path
    host: Path

    @property
    def name(self) -> str:
        return f"ComfyUI {host_version(self.host)}, {self.marker or 'every test'}"

    def command(self, rest: list[str]) -> list[object]:
        """pytest on the folders of its tiers, as importing the others takes long, or on the files that `rest` names."""
        marked = ["-m", self.marker] if self.marker else []
        named = any(Path(each.split("::")[0]).resolve().is_relative_to(TESTS) for each in rest)
        folders = [TESTS / tier for tier in TIERS if not self.marker or tier in self.marker.split()]
        return [self.python, "-m", "pytest", *marked, *rest, *([] if named else folders)]


def run_all(runs: list[Run], rest: list[str]) -> int:
    """One run is shown as it goes; of several each when it has ended, then what failed, then a line for each."""
    if len(runs) == 1:
        return wait(start(runs[0].command(rest), runs[0].host))
    outputs = several(runs, rest)
    failures, lines = [], []
    for run, (_, output) in zip(runs, outputs):
        *failed, last = ending(output)
        failures += [f"\nTests on {run.name}", *failed] if failed else []
        lines.append(f"{run.name:36} {last}")
    print("\n".join([*failures, "", *lines]), flush=True)
    return combined([code for code, _ in outputs])


def several(runs: list[Run], rest: list[str]) -> list[tuple[int, str]]:
    """Exit code and output of each run, AT_A_TIME at once; a Ctrl-C or a request to end reaches those that go on."""
    waiting = list(enumerate(runs))
    going: dict[int, tuple[subprocess.Popen, Path]] = {}
    ended: dict[int, tuple[int, str]] = {}
    signal.signal(signal.SIGTERM, lambda *_: stop(going, waiting))
    while waiting or going:
        while waiting and len(going) < AT_A_TIME:
            number, run = waiting.pop(0)
            print(f"Tests on {run.name} begin", flush=True)
            going[number] = begin(run, rest)
        try:
            time.sleep(0.2)
        except KeyboardInterrupt:
            waiting.clear()  # those that go on have been told too
        for number, (process, output) in list(going.items()):
            if process.poll() is not None:
                ended[number] = exit_code(process.returncode), output.read_text(errors="replace")
                output.unlink()
                del going[number]
                print(f"\nTests on {runs[number].name}\n{ended[number][1]}", flush=True)
    return [ended.get(number, (PYTEST_NO_TESTS, "not run")) for number in range(len(runs))]


def begin(run: Run, rest: list[str]) -> tuple[subprocess.Popen, Path]:
    """The run's process, and the file that it writes to."""
    handle, name = tempfile.mkstemp(prefix="emerdiff-tests-", suffix=".txt")
    threads = str(max(1, (os.cpu_count() or 1) // AT_A_TIME))
    env = {"OMP_NUM_THREADS": threads, **variables(run.host), "PYTHONUNBUFFERED": "1"}
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    command = [*run.command(rest), "-p", "no:cacheprovider", *colour]
    with os.fdopen(handle, "wb") as file:
        process = subprocess.Popen([str(part) for part in command], env=env, stdout=file, stderr=subprocess.STDOUT)
    return process, Path(name)


def stop(going: dict, waiting: list) -> None:
    waiting.clear()
    for process, _ in going.values():
        process.terminate()


def ending(output: str) -> list[str]:
    """The end of what pytest wrote: its short summary where there is one, else the last line."""
    lines = output.rstrip().splitlines() or ["pytest wrote nothing"]
    headers = [index for index, line in enumerate(lines) if "short test summary info" in line]
    return lines[headers[-1] :] if headers else lines[-1:]


def combined(codes: list[int]) -> int:
    """0 if every run passed. One that found no tests (-k, a file of another tier) counts only if all found none."""
    worked = [code for code in codes if code != PYTEST_NO_TESTS]
    return max(worked, default=PYTEST_NO_TESTS)
