"""The one command of this project: python3 lab/run.py COMMAND [ARGUMENTS]

  demo       start a real ComfyUI, segment pictures with it, leave the results in demo_output/
  test       run the tests on the newest ComfyUI, and the host tier on the oldest supported one
  checks     style, types, what the registry and its users get, known vulnerabilities
  setup      only fetch and install what the other commands need
  evaluate   measure the masks against scenes whose true regions are known
  benchmark  measure time and memory against the plain procedure
  pareto     measure ways to lift, quality against cost: how the presets were found
  tools      measure lifting of rough masks, merging of segments, refining of large pictures
  text       measure how well words find the segments of known objects
  compare    whether every node still gives what it gave at another commit
  fuzz       throw mutated files and texts at everything that reads them (Linux)
  help_pictures  draw the pictures of the nodes' help pages
  thumbnails  draw the workflows' thumbnails and the README's pictures from what demo, evaluate and test left
  train      train the small model that the demo and the tests use

Whatever is missing is set up first: about 7 GB in .venv/ and .host/, once; for the tests in a browser also Debian's
package chromium, where no Chromium or Chrome is there. Needs Python 3.11 or newer and git.

  --host-version X   use ComfyUI X (0.30.0, 0.18.2 or 0.16.3); for every command
  --tier NAME        for test: only the tests of that tier (pure, host, server, browser, quality)
  --hosts all        for test: every tier on the newest ComfyUI, and on all others each that a ComfyUI has a part in

All other arguments are passed on: to pytest by test, else to the command's script (`demo --help` shows its own).
COMFYUI_PATH=FOLDER uses a ComfyUI you already have, and its Python, instead; nothing is installed into it.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - asked before anything that older versions cannot import
    sys.exit(f"This needs Python 3.11 or newer; {sys.executable} is Python {sys.version.split()[0]}.")

import argparse
import os
import signal
import subprocess
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, cast

from comfyui import environment, own
from comfyui.chromium import ensure_browser
from comfyui.environment import ROOT
from comfyui.hosts import NEWEST, OLDEST, SOURCES, ensure_host, host_ready, host_version
from comfyui.own import SetupError, own_comfyui

LAB, TESTS = ROOT / "lab", ROOT / "tests"
TIERS = ("pure", "host", "server", "browser", "quality")
ON_BOTH_HOSTS = ("host", "server")
ON_EVERY_HOST = ("host", "server", "browser")  # pure has none; quality asks about masks that host finds equal
PYTEST_NO_TESTS = 5  # an exit code of pytest
KILLED = 128  # exit codes above it say which signal ended the command


class Script(NamedTuple):
    """A module of lab/ with a main(): whether it imports comfy, and what it needs beyond ComfyUI's, by package."""

    module: str
    imports_comfy: bool
    needs: dict[str, str]


SCRIPTS = {
    "demo": Script("show.demo", False, {}),
    "train": Script("training.train", True, {}),
    "evaluate": Script("measure.masks", True, {"matplotlib": "matplotlib"}),
    "benchmark": Script("measure.speed", True, {"matplotlib": "matplotlib"}),
    "pareto": Script("measure.presets", True, {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}),
    "tools": Script("measure.tools", True, {"sklearn": "scikit-learn"}),
    "text": Script("measure.words", True, {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}),
    "compare": Script("checks.compare", True, {}),
    "fuzz": Script("checks.fuzz", True, {"atheris": "atheris"}),
    "help_pictures": Script("show.help_pictures", True, {"sklearn": "scikit-learn"}),
    "thumbnails": Script("show.thumbnails", False, {}),
    "checks": Script("checks.trade", False, {"ruff": "ruff"}),
}
TEST_MODULES = {
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "hypothesis": "hypothesis",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
}


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if command not in ("setup", "test", *SCRIPTS):
        print(f"There is no command {command!r}.\n\n{__doc__}", file=sys.stderr)
        return 2
    try:
        return dispatch(command, *parse(command, rest))
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


def dispatch(command: str, options: argparse.Namespace, rest: list[str]) -> int:
    if options.host_version and own_comfyui():
        raise SetupError("COMFYUI_PATH decides which ComfyUI is used: unset it, or leave out --host-version.")
    if command == "test" and options.hosts and (options.host_version or own_comfyui()):
        raise SetupError("--hosts all goes with neither --host-version nor COMFYUI_PATH, which choose one ComfyUI.")
    # A script can show its own help only when what it imports is there; asking for help sets nothing up.
    if wants_help(rest) and (command not in SCRIPTS or not is_set_up(options.host_version)):
        print(__doc__)
        return 0
    if command == "setup":
        return set_up(options.host_version, rest)
    if command == "test":
        return test(options, rest)
    return run_script(command, options.host_version, rest)


def parse(command: str, rest: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Takes our own options out of the arguments; the others are passed on in their order."""
    parser = argparse.ArgumentParser(prog=f"run.py {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("--host-version", metavar="X")
    if command == "test":
        parser.add_argument("--tier", choices=TIERS)
        parser.add_argument("--hosts", choices=["all"])
    return parser.parse_known_args(rest)


def wants_help(rest: list[str]) -> bool:
    return "-h" in rest or "--help" in rest


def is_set_up(version: str | None) -> bool:
    if own_comfyui():
        return True
    version = version or NEWEST
    known = version in SOURCES
    return known and environment.environment_ready() and host_ready(version)


# ---- setup, and the scripts beside this file


def set_up(version: str | None, rest: list[str]) -> int:
    if rest:
        print(f"setup takes no such argument: {' '.join(rest)}", file=sys.stderr)
        return 2
    python = environment.ensure_environment()
    folders = [ensure_host(each) for each in ([version] if version else [NEWEST, OLDEST])]
    print(f"Python   {python}")
    for folder in dict.fromkeys(folders):  # a ComfyUI of the user's own stands for both
        print(f"ComfyUI  {host_version(folder)}  {folder}")
    if own_comfyui():
        own.require_modules(python, TEST_MODULES | SCRIPTS["evaluate"].needs)
    return 0


def run_script(name: str, version: str | None, rest: list[str]) -> int:
    script = SCRIPTS[name]
    python, host = ready(version or NEWEST, script.needs)
    # -P: this folder's parent must not come onto sys.path, where its `nodes` would hide ComfyUI's.
    return wait(start([python, "-P", "-m", script.module, *rest], host, script.imports_comfy))


def ready(version: str, modules: dict[str, str]) -> tuple[Path, Path]:
    """The Python to go on in and the ComfyUI to use, both set up. A user's own must have the modules already."""
    python, host = environment.ensure_environment(), ensure_host(version)
    if own_comfyui():
        own.require_modules(python, modules)
    return python, host


def start(command: list[object], host: Path, imports_comfy: bool = False, **options) -> subprocess.Popen:
    """Starts the command. Ctrl-C reaches it by itself; a request to terminate is handed on, so it can clean up."""
    process = subprocess.Popen([str(part) for part in command], env=variables(host, imports_comfy), **options)
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


def variables(host: Path, imports_comfy: bool = False) -> dict[str, str]:
    """EMERDIFF_HOST tells scripts and tests which ComfyUI to use; PYTHONPATH lets a script import it, and the lab."""
    paths = [str(LAB), *([str(host)] if imports_comfy else []), os.environ.get("PYTHONPATH")]
    return dict(os.environ, EMERDIFF_HOST=str(host), PYTHONPATH=os.pathsep.join(filter(None, paths)))


# ---- test


def test(options: argparse.Namespace, rest: list[str]) -> int:
    """Runs pytest on every ComfyUI of the plan; with several, ends with what failed, then with a line for each."""
    plan = every_host_plan(options.tier) if options.hosts else test_plan(options.tier, options.host_version)
    if not own_comfyui() and any(in_browser(marker, rest) for _, marker in plan):
        ensure_browser()
    runs = [(marker, *ready(version, TEST_MODULES)) for version, marker in plan]
    if len(runs) == 1:
        marker, python, host = runs[0]
        return wait(start(pytest_command(python, marker, rest), host))
    codes, failures, last_lines = [], [], []
    for marker, python, host in runs:
        name = f"ComfyUI {host_version(host)}"
        print(f"\nTests on {name}", flush=True)
        code, output = run_and_keep(pytest_command(python, marker, rest), host)
        *failed, last = ending(output)
        codes.append(code)
        failures += [f"\nTests on {name}", *failed] if failed else []
        last_lines.append(f"{name:15} {last}")
        if code > KILLED or "! KeyboardInterrupt !" in output:
            break
    print("\n".join([*failures, "", *last_lines]), flush=True)
    return combined(codes)


def every_host_plan(tier: str | None) -> list[tuple[str, str | None]]:
    """The runs to do on all known ComfyUIs, as in `test_plan`."""
    others = [version for version in SOURCES if version != NEWEST]
    if tier:
        return [(version, tier) for version in (NEWEST, *others)]
    return [(NEWEST, None), *((version, " or ".join(ON_EVERY_HOST)) for version in others)]


def test_plan(tier: str | None, version: str | None) -> list[tuple[str, str | None]]:
    """The runs to do: pairs of a ComfyUI version and a marker expression (None: every test)."""
    if version or own_comfyui():
        return [(version or NEWEST, tier)]
    if tier in ON_BOTH_HOSTS:
        return [(NEWEST, tier), (OLDEST, tier)]
    if tier:
        return [(NEWEST, tier)]
    return [(NEWEST, None), (OLDEST, "host")]


def in_browser(marker: str | None, rest: list[str]) -> bool:
    """Whether a run has tests in a browser, as far as its marker and the files it names tell."""
    folders = [Path(each.split("::")[0]).resolve() for each in rest]
    named = [each for each in folders if each.is_relative_to(TESTS)]
    chosen = not named or TESTS in named or any(each.is_relative_to(TESTS / "browser") for each in named)
    return (marker is None or "browser" in marker) and chosen


def pytest_command(python: Path, marker: str | None, rest: list[str]) -> list[object]:
    """pytest on all of tests/, unless the arguments name files or folders in it."""
    marked = ["-m", marker] if marker else []
    named = any(Path(each.split("::")[0]).resolve().is_relative_to(TESTS) for each in rest)
    return [python, "-m", "pytest", *marked, *rest, *([] if named else [TESTS])]


def run_and_keep(command: list[object], host: Path) -> tuple[int, str]:
    """Runs the command, showing what it writes; returns its exit code and all it wrote."""
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    kept = b""
    with start([*command, *colour], host, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while chunk := read(process):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            kept += chunk
        return wait(process), kept.decode(errors="replace")


def read(process: subprocess.Popen) -> bytes:
    """The next piece of the output, empty at its end; a Ctrl-C is left for the command to act on."""
    while True:
        try:
            return cast(BufferedReader, process.stdout).read1(4096)
        except KeyboardInterrupt:
            continue


def ending(output: str) -> list[str]:
    """The end of what pytest wrote: its short summary where there is one, else the last line."""
    lines = output.rstrip().splitlines() or ["pytest wrote nothing"]
    headers = [index for index, line in enumerate(lines) if "short test summary info" in line]
    return lines[headers[-1] :] if headers else lines[-1:]


def combined(codes: list[int]) -> int:
    """0 if every run passed. One that found no tests (-k, a file of another tier) counts only if all found none."""
    worked = [code for code in codes if code != PYTEST_NO_TESTS]
    return max(worked, default=PYTEST_NO_TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
