"""The one command of this project: python3 lab/run.py COMMAND [ARGUMENTS]

{commands}

Whatever is missing is set up first: about 7 GB in .venv/ and .host/, once; for the tests in a browser also Debian's
package chromium, where no Chromium or Chrome is there. Needs Python 3.11 or newer and git.

  --host-version X   use ComfyUI X (0.30.0, 0.18.2 or 0.16.3); for every command
  --tier NAME        for test: only the tests of that tier (pure, host, server, browser, quality)
  --cluster          for setup: also what a machine of a cluster needs (see `segment --help`)

All other arguments are passed on: to pytest by test, else to the command's script (`demo --help` shows its own).
COMFYUI_PATH=FOLDER uses a ComfyUI you already have, and its Python, instead; nothing is installed into it.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - asked before anything that older versions cannot import
    sys.exit(f"This needs Python 3.11 or newer; {sys.executable} is Python {sys.version.split()[0]}.")

import argparse
from pathlib import Path
from typing import NamedTuple

from checks import suite
from comfyui import environment, own
from comfyui.children import start, wait
from comfyui.chromium import ensure_browser
from comfyui.hosts import NEWEST, OLDEST, SOURCES, ensure_host, host_ready, host_version
from comfyui.own import SetupError, own_comfyui
from reasons import ended


class Script(NamedTuple):
    """A module of lab/ with a main(): what it does, and what it needs beyond ComfyUI's, by package."""

    module: str
    does: str
    needs: dict[str, str] = {}


LEARNS = {"sklearn": "scikit-learn"}
PAGES = {"playwright": "playwright"}  # of the front end
LISTS = {"tqdm": "tqdm", "filelock": "filelock"}  # many pictures, one after another
OWN = {  # what this file does itself
    "test": "run the tests on the newest ComfyUI, and the host tier on the oldest supported one",
    "setup": "only fetch and install what the other commands need",
}
SCRIPTS = {
    "demo": Script("show.demo", "segment pictures with a real ComfyUI, leave the results in demo_output/", LEARNS),
    "segment": Script("batch.segment", "segment every picture of a folder, here or on many machines", LISTS),
    "checks": Script("checks.trade", "style, types, what the registry gets, known vulnerabilities", {"ruff": "ruff"}),
    "compare": Script("checks.compare", "whether every node still gives what it gave at another commit"),
    "locales": Script("checks.locales", "write the nodes' texts in English anew, drop stale translations"),
    "evaluate": Script("measure.masks", "measure masks against scenes whose true regions are known", LEARNS),
    "benchmark": Script("measure.speed", "measure time and memory against the plain procedure", LEARNS),
    "pareto": Script("measure.presets", "measure the presets, quality against cost", LEARNS),
    "tools": Script("measure.tools", "measure lifting of rough masks", LEARNS),
    "text": Script("measure.words", "measure how well words find the segments of known objects", LEARNS),
    "features": Script("measure.features", "measure coarse masks from features read in several ways", LEARNS),
    "counts": Script("measure.counts", "measure ways to decide how many segments a picture has", LEARNS),
    "strength": Script("measure.strength", "measure whether lambda follows from the layer that is pushed", LEARNS),
    "photographs": Script("measure.photographs", "measure lifting on photographs", LEARNS),
    "clicks": Script("measure.clicks", "measure how many clicks things on photographs take", LEARNS),
    "video": Script("measure.video", "measure segments of moving scenes, and a long video's memory", LEARNS),
    "rivals": Script("measure.rivals", "measure EmerDiff, DiffSeg, DiffCut and colours on the same pictures", LEARNS),
    "protocol": Script("protocols.protocol", "score any method on published data sets, as published", LEARNS | LISTS),
    "help_pictures": Script("show.help_pictures", "draw the pictures of the nodes' help pages", LEARNS),
    "prompts": Script("show.prompts", "write the bundled workflows as prompts, docs/api/*.json", PAGES),
    "thumbnails": Script("show.thumbnails", "draw thumbnails and README's pictures from what other commands left"),
}

CLUSTER = {"ray": "ray[data]"}  # what scripts need beside, where --cluster is among their arguments


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        print(usage())
        return 0
    if command not in commands():
        print(f"There is no command {command!r}.\n\n{usage()}", file=sys.stderr)
        return 2
    return ended(lambda: dispatch(command, *parse(command, rest)))


def commands() -> dict[str, str]:
    """Every command, and what it does."""
    return OWN | {name: script.does for name, script in SCRIPTS.items()}


def usage() -> str:
    lines = [f"  {name:17} {does}" for name, does in commands().items()]
    return str(__doc__).replace("{commands}", "\n".join(lines))


def dispatch(command: str, options: argparse.Namespace, rest: list[str]) -> int:
    if options.host_version and own_comfyui():
        raise SetupError("COMFYUI_PATH decides which ComfyUI is used: unset it, or leave out --host-version.")
    # A script can show its own help only when what it imports is there; asking for help sets nothing up.
    if wants_help(rest) and (command not in SCRIPTS or not is_set_up(options.host_version)):
        print(usage())
        return 0
    if command == "setup":
        return set_up(options, rest)
    if command == "test":
        return test(options, rest)
    return run_script(command, options.host_version, rest)


def parse(command: str, rest: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Takes our own options out of the arguments; the others are passed on in their order."""
    parser = argparse.ArgumentParser(prog=f"run.py {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("--host-version", metavar="X")
    if command == "setup":
        parser.add_argument("--cluster", action="store_true")
    if command == "test":
        parser.add_argument("--tier", choices=suite.TIERS)
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


def set_up(options: argparse.Namespace, rest: list[str]) -> int:
    if rest:
        print(f"setup takes no such argument: {' '.join(rest)}", file=sys.stderr)
        return 2
    version = options.host_version
    python = environment.ensure_environment()
    if options.cluster:
        environment.ensure_cluster()
    folders = [ensure_host(each) for each in ([version] if version else [NEWEST, OLDEST])]
    print(f"Python   {python}")
    for folder in dict.fromkeys(folders):  # a ComfyUI of the user's own stands for both
        print(f"ComfyUI  {host_version(folder)}  {folder}")
    if own_comfyui():
        own.require_modules(python, suite.MODULES | SCRIPTS["evaluate"].needs | (CLUSTER if options.cluster else {}))
    return 0


def run_script(name: str, version: str | None, rest: list[str]) -> int:
    script = SCRIPTS[name]
    on_cluster = any(each.split("=")[0] == "--cluster" for each in rest)
    python, host = ready(version or NEWEST, script.needs | (CLUSTER if on_cluster else {}))
    if on_cluster:
        environment.ensure_cluster()
    # -P: this folder's parent must not come onto sys.path, where its `nodes` would hide ComfyUI's.
    return wait(start([python, "-P", "-m", "comfyui.launch", name, script.module, *rest], host))


def ready(version: str, modules: dict[str, str]) -> tuple[Path, Path]:
    """The Python to go on in and the ComfyUI to use, both set up. A user's own must have the modules already."""
    python, host = environment.ensure_environment(), ensure_host(version)
    if own_comfyui():
        own.require_modules(python, modules)
    return python, host


# ---- test


def test(options: argparse.Namespace, rest: list[str]) -> int:
    """Runs pytest on every ComfyUI of the plan."""
    plan = suite.plan_of(options.tier, options.host_version)
    if not own_comfyui() and suite.in_browser(plan, rest):
        ensure_browser()
    runs = [suite.Run(marker, *ready(version, suite.MODULES)) for version, marker in plan]
    if any(marker is None or "host" in marker for _, marker in plan):
        environment.ensure_cluster()
    return suite.run_all(runs, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
