"""The checks of the trade: `checks [NAME ...]`, without names all of them but release.

style            ruff: the rules and the layout of the code
types            mypy: what ships and the lab, against PyTorch's own types
registry         comfy-cli: what the registry asks of a pack
archive          what the registry hands out: nothing strange in it, nothing missing, it loads from that alone
pitfalls         comfy-test: what breaks other packs or other machines, in the files of the archive
vulnerabilities  pip-audit: known vulnerabilities of the packages in lab/requirements/development.txt and cluster.txt
translations     a list of what users of other languages see in English, or as it was; nothing of it fails
release          fails if that list is not empty
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from checks.locales import in_english
from comfyui.environment import CHECKS, CLUSTER, DEVELOPMENT, ROOT, ensure_checks
from comfyui.own import python_of
from comfyui.server import HostServer

# Findings of `pitfalls` and `vulnerabilities` that stay, by name, each with the reason why.
ACCEPTED: dict[str, str] = {}

PACK = "ComfyUI-EmerDiff"
ROOT_FILES = {"__init__.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"}
FOLDERS = {"emerdiff_ops", "locales", "nodes", "subgraphs", "workflows"}
WEIGHTS = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".gguf"}
VULNERABLE = "jinja2==2.4.1"  # known to be, for years: a service that does not say so is not there
PITFALLS = """
import json, sys
from pathlib import Path
from comfy_test.orchestration.levels import hazards, warnings
checks = [(check[-3], check[-1]) for check in warnings.CHECKS + hazards.CHECKS]
found = {name: check(Path(sys.argv[1])) for name, check in checks}
print(json.dumps({name: list(map(str, findings)) for name, findings in found.items() if findings}))
"""


class Failed(Exception):
    """What was found."""


class Skipped(Exception):
    """Why the check could not be made here."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    # Not `choices`: before Python 3.12 argparse looks for the empty list among them.
    if unknown := [name for name in names if name not in ALL]:
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(ALL)}")
    ensure_checks()
    outcomes = outcomes_of(names or EVERYDAY)
    print("\n" + "\n".join(f"{name:15}  {text}" for name, text in outcomes.items()), flush=True)
    return int(any(text.startswith("FAILED") for text in outcomes.values()))


def outcomes_of(names: list[str]) -> dict[str, str]:
    """The types are checked beside all others, one after another: that takes as long as they do together."""
    lanes = [name for name in names if name == "types"], [name for name in names if name != "types"]
    with ThreadPoolExecutor(len(lanes)) as pool:
        ended = pool.map(lambda lane: [(name, outcome(name)) for name in lane], lanes)
        return dict(each for lane in ended for each in lane)


def outcome(name: str) -> str:
    print(f"\n---- {name}", flush=True)
    started = time.monotonic()
    try:
        ALL[name]()
        text = "passed"
    except Skipped as reason:
        text = f"SKIPPED: {reason}"
    except Failed as reason:
        print(reason)
        text = f"FAILED: {str(reason).splitlines()[0]}"
    return f"{text} ({time.monotonic() - started:.0f} s)"


# ---- The checks


def style() -> None:
    passed = [run(sys.executable, "-m", "ruff", *words).returncode == 0 for words in (["check"], ["format", "--check"])]
    if not all(passed):
        raise Failed("ruff's findings are above")


def types() -> None:
    """The pack is checked under the alias by which the lab and the tests import it."""
    aliases = CHECKS.folder / "packages"
    aliases.mkdir(exist_ok=True)
    alias = aliases / "emerdiff"
    if not alias.is_symlink():
        alias.symlink_to(ROOT, target_is_directory=True)
    packages = [
        "emerdiff.nodes",
        "emerdiff.emerdiff_ops",
        *sorted(p.parent.name for p in (ROOT / "lab").glob("*/__init__.py")),
    ]
    answer = tool("mypy", "--python-executable", sys.executable, "-mrun", *(f"-p{each}" for each in packages))
    print(answer.stdout.replace(f"{alias.relative_to(ROOT)}{os.sep}", ""), answer.stderr, sep="", end="")
    if answer.returncode:
        raise Failed("mypy's findings are above")


def registry() -> None:
    answer = tool("comfy_cli", "--skip-prompt", "node", "validate")
    print(answer.stdout, answer.stderr, sep="", end="")
    # Of what it calls security warnings comfy-cli makes no error yet: its exit code alone does not do.
    if answer.returncode or "All validation checks passed" not in answer.stdout + answer.stderr:
        raise Failed("comfy node validate is not content; what it says is above")


def archive() -> None:
    with unpacked_archive() as (folder, names):
        print(f"{len(names)} files")
        faults = archive_faults(names, tracked_files()) or load_faults(folder)
    if faults:
        raise Failed("\n".join(faults))


def pitfalls() -> None:
    with unpacked_archive() as (folder, _):
        lint = tool("comfy_test", "lint", folder, "--strict")
        print(lint.stdout, lint.stderr, sep="", end="")
        levels = subprocess.run([python_of(CHECKS.folder), "-c", PITFALLS, folder], check=True, stdout=subprocess.PIPE)
    found = {name: findings for name, findings in json.loads(levels.stdout).items() if name not in ACCEPTED}
    for name, findings in found.items():
        print(f"[{name}]", *findings, sep="\n  ")
    if lint.returncode or found:
        raise Failed(f"comfy-test lint: {lint.returncode}; findings of its other levels: {', '.join(found) or 'none'}")


def vulnerabilities() -> None:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "vulnerable.txt")
        listed.write_text(VULNERABLE + "\n")
        if not audit(listed, "--no-deps"):
            raise Skipped(f"no vulnerability service here: osv.dev did not say that {VULNERABLE} has known ones")
    audits = [audit(each.requirements, "--require-hashes") for each in (DEVELOPMENT, CLUSTER)]
    if None in audits:
        raise Failed("the vulnerability service stopped answering")
    found = {line: ids for each in audits for ids, line in each or []}
    faults = [line for line, ids in found.items() if not ids & ACCEPTED.keys()]
    if faults:
        raise Failed("\n".join(faults))


def translations() -> None:
    print("\n".join(in_english()) or "everything is translated")


def release() -> None:
    lines = in_english()
    if lines:
        raise Failed("\n".join([f"{len(lines)} texts are to be translated before a release", *lines]))


ALL: dict[str, Callable[[], None]] = {
    check.__name__: check
    for check in (style, types, registry, archive, pitfalls, vulnerabilities, translations, release)
}
EVERYDAY = [name for name in ALL if name != "release"]


# ---- The archive


@contextlib.contextmanager
def unpacked_archive() -> Iterator[tuple[Path, list[str]]]:
    """The folder with what comfy-cli packs for the registry, and the names of the files in it."""
    answer = tool("comfy_cli", "--skip-prompt", "node", "pack")
    packed = ROOT / "node.zip"
    if answer.returncode or not packed.exists():
        raise Failed(f"comfy node pack made no archive\n{answer.stdout}{answer.stderr}")
    try:
        with tempfile.TemporaryDirectory(prefix="emerdiff-archive-") as base, zipfile.ZipFile(packed) as file:
            file.extractall(Path(base, PACK))
            yield Path(base, PACK), file.namelist()
    finally:
        packed.unlink()


def tracked_files() -> list[str]:
    """The files of the repository, but for those removed since."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def archive_faults(names: Collection[str], tracked: Collection[str]) -> list[str]:
    """What the archive should not have, or lacks; `names` are its files, `tracked` those of the repository."""
    needed = {name for name in tracked if PurePosixPath(name).parts[0] in FOLDERS} | ROOT_FILES
    templates = [PurePosixPath(name) for name in names if name.startswith("workflows/") and name.endswith(".json")]
    thumbnails = {str(path.with_suffix(".jpg")) for path in templates}
    return [
        *(f"not for users: {name}" for name in sorted(set(names) - needed)),
        *(f"weights: {name}" for name in sorted(names) if PurePosixPath(name).suffix in WEIGHTS),
        *(f"missing: {name}" for name in sorted((needed | thumbnails) - set(names))),
    ]


def load_faults(folder: Path) -> list[str]:
    """What a real ComfyUI does not find in the unpacked archive: nodes and their help, scripts, templates and so on."""
    with HostServer(packs={PACK: folder}) as server:
        info = server.object_info()
        served = json.loads(server.get("/extensions"))
        templates = json.loads(server.get("/api/workflow_templates")).get(PACK, [])
        blueprints = {entry["name"] for entry in json.loads(server.get("/global_subgraphs")).values()}
        languages = json.loads(server.get("/i18n"))
    nodes = {name for name, node in info.items() if node["python_module"] == f"custom_nodes.{PACK}"}
    shown = {name for name in nodes if not info[name].get("dev_only")}
    print(f"{len(nodes)} nodes, {len(templates)} templates")
    pages = {path.stem for path in folder.glob("nodes/web/docs/*.md")}
    scripts = {
        f"/extensions/{PACK}/{path.relative_to(folder / 'nodes/web')}" for path in folder.glob("nodes/web/**/*.js")
    }
    workflows = {path.stem for path in folder.glob("workflows/*.json")}
    subgraphs = {path.stem for path in folder.glob("subgraphs/*.json")}
    spoken = {path.name for path in folder.glob("locales/*")}
    return [
        *(f"not loaded, or without a help page: node {name}" for name in sorted(pages ^ shown)),
        *(f"not served: {name}" for name in sorted(scripts - set(served))),
        *(f"not offered: template {name}" for name in sorted(workflows - set(templates))),
        *(f"not offered: blueprint {name}" for name in sorted(subgraphs - blueprints)),
        *(f"not offered: language {name}" for name in sorted(spoken - set(languages))),
    ]


# ---- Helpers


def audit(listed: Path, *options: str) -> list[tuple[set[str], str]] | None:
    """(identifiers, a line of text) of every known vulnerability of the listed packages; None without an answer."""
    words = ["-s", "osv", "--timeout", "15", "--progress-spinner", "off", "--disable-pip", "--format", "json"]
    answer = tool("pip_audit", *words, *options, "-r", listed)
    try:
        packages = json.loads(answer.stdout)["dependencies"]
    except ValueError:
        print(*answer.stderr.splitlines()[-1:])
        return None
    return [
        ({known["id"], *known["aliases"]}, f"{package['name']} {package['version']}: {known['id']}")
        for package in packages
        for known in package.get("vulns", [])
    ]


def tool(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a module of .venv-checks in the repository; what it writes is kept. Nothing is reported to anyone."""
    return run(python_of(CHECKS.folder), "-m", module, *words, capture_output=True)


def run(*command: object, capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, DO_NOT_TRACK="1", NO_COLOR="1")
    return subprocess.run(list(map(str, command)), cwd=ROOT, env=env, capture_output=capture_output, text=True)
