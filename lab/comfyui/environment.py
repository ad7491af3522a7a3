"""Sets up, once, what development needs: a Python environment in .venv/. The checks of the trade have one of their own,
.venv-checks/, because their packages do not go together with ComfyUI's. What a cluster needs is added to .venv/ when a
command asks for one.

Standard library only, as all of this folder that setting up needs. Every part is pinned by version and SHA-256, a
finished part is known by the stamp file in it, and an interrupted set-up goes on where it stopped. COMFYUI_PATH names a
ComfyUI of the user's own instead: then that one and its Python are used, nothing is downloaded and nothing is installed
into it. COMFYUI_PYTHON names its Python where that is not found beside it.
"""

import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .own import SetupError, own_comfyui, own_python, python_of

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows: set-ups started at the same time are not kept apart there

STAMP = ".emerdiff-stamp"


class Environment(NamedTuple):
    """A Python environment, and a list of what it consists of, pinned by version and SHA-256."""

    folder: Path
    requirements: Path
    stamp: str = STAMP  # the file in it that says what is finished


ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
DEVELOPMENT = Environment(VENV, ROOT / "lab" / "requirements" / "development.txt")
CLUSTER = Environment(VENV, ROOT / "lab" / "requirements" / "cluster.txt", ".emerdiff-stamp-cluster")
CHECKS = Environment(ROOT / ".venv-checks", ROOT / "lab" / "requirements" / "checks.txt")
HOSTS = ROOT / ".host"
GIGABYTES_NEEDED = 7


def ensure_environment() -> Path:
    """The Python to go on in: that of the user's own ComfyUI, or that of .venv, brought up to date first."""
    comfyui = own_comfyui()
    return own_python(comfyui) if comfyui else ensure(DEVELOPMENT)


def ensure_cluster() -> None:
    """Adds to a finished .venv what --cluster needs. Nothing is added to the Python of a user's own ComfyUI."""
    if not own_comfyui():
        ensure(CLUSTER)


def ensure_checks() -> Path:
    """The Python of .venv-checks, brought up to date first."""
    return ensure(CHECKS)


def ensure(environment: Environment) -> Path:
    if not environment_ready(environment):
        with one_at_a_time():
            if not environment_ready(environment):
                install_environment(environment)
    return python_of(environment.folder)


def environment_ready(environment: Environment = DEVELOPMENT) -> bool:
    folder, requirements, stamp = environment
    return python_of(folder).exists() and stamp_of(folder, stamp) == sha256(requirements)


def install_environment(environment: Environment) -> None:
    folder, requirements, stamp = environment
    if environment == DEVELOPMENT and not torch_installed():
        announce_size()
    make_venv(folder)
    install_uv(environment)
    packages = f"packages of {requirements.relative_to(ROOT)}"
    say(f"Installing the {packages} into {folder.name}")
    command = [python_of(folder), "-m", "uv", "pip", "install", "--python", python_of(folder)]
    fetch(f"The {packages}", [*command, "--require-hashes", "-r", requirements])
    (folder / ".gitignore").write_text("*\n")
    write_stamp(folder, sha256(requirements), stamp)


def announce_size() -> None:
    """Says what the first set-up costs, before it starts."""
    free = shutil.disk_usage(ROOT).free / 1e9
    say(f"First set-up: about {GIGABYTES_NEEDED} GB of disk, most of it PyTorch ({free:.0f} GB are free here).")
    say("Everything goes into .venv and .host in this folder, and into the package cache of uv.")
    if free < GIGABYTES_NEEDED:
        say("This may not be enough. COMFYUI_PATH=FOLDER uses a ComfyUI you already have instead.")


def torch_installed() -> bool:
    places = ("lib/python*/site-packages/torch", "Lib/site-packages/torch")
    return any(True for place in places for _ in VENV.glob(place))


def make_venv(folder: Path) -> None:
    """Makes the environment, or mends it: a Python that is gone means making it anew, a missing pip is added."""
    python = python_of(folder)
    if runs([python, "-m", "pip", "--version"]):
        return
    say(f"Making {folder.name}")
    anew = [] if runs([python, "--version"]) else ["--clear"]
    if subprocess.run([sys.executable, "-m", "venv", *anew, folder], stdout=sys.stderr).returncode:
        raise SetupError(
            f"{sys.executable} could not make {folder.name}; the reason is above. If it is a missing ensurepip, "
            "`apt install python3-venv` brings it on Debian and Ubuntu; then run the same command again."
        )


def install_uv(environment: Environment) -> None:
    """Installs the uv that the requirements pin, with pip: the only package that uv does not install."""
    folder, requirements, _ = environment
    python = python_of(folder)
    if runs([python, "-m", "uv", "--version"]):
        return
    listed = folder / "uv-requirement.txt"
    listed.write_text(first_match(r"^uv==.*(?:\n    --hash=.*)+", requirements.read_text()) + "\n")
    say(f"Installing uv into {folder.name}")
    fetch("The package uv", [python, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", listed])


# ---- Helpers


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Lets one process at a time set up; a second one waits, and then finds the work done."""
    HOSTS.mkdir(exist_ok=True)
    with open(HOSTS / "lock", "w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Another set-up of this folder is running; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(what: str, command: Sequence[object], env: Mapping[str, str] | None = None) -> None:
    """Runs a command that downloads; its own messages go to the terminal."""
    if subprocess.run([str(part) for part in command], stdout=sys.stderr, env=env).returncode:
        raise SetupError(
            f"{what} could not be fetched; the reason is above. "
            "Run the same command again, with the network working: it goes on where it stopped."
        )


def from_pypi(package: str, version: str, expected: str, file: str, what: str, *options: str) -> Path:
    """A package's file of that name and SHA-256, kept in .host/downloads. pip compares the hash before it opens it."""
    downloads = HOSTS / "downloads"
    path = downloads / file
    if path.exists() and sha256(path) == expected:
        return path
    make_venv(VENV)
    downloads.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listed = downloads / f"{file}.txt"
    listed.write_text(f"{package}=={version} --hash=sha256:{expected}\n")
    say(f"Fetching {what}")
    command = [python_of(VENV), "-m", "pip", "download", "-q", "--no-deps", *options]
    fetch(what, [*command, "--dest", downloads, "-r", listed])
    if not path.exists() or sha256(path) != expected:
        raise SetupError(f"{what} did not arrive as the file expected. Run the same command again.")
    return path


def runs(command: Sequence[object]) -> bool:
    """Whether the command can be run and succeeds, quietly."""
    try:
        return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0
    except OSError:
        return False


def first_match(pattern: str, text: str) -> str:
    """The first place of a text that fits the pattern, which must be there."""
    return re.findall(pattern, text, re.MULTILINE)[0]


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(folder: Path, name: str = STAMP) -> str | None:
    stamp = folder / name
    return stamp.read_text().strip() if stamp.exists() else None


def write_stamp(folder: Path, text: str, name: str = STAMP) -> None:
    (folder / name).write_text(text + "\n")


def say(text: str) -> None:
    """To stderr: the one thing on stdout, when this file is run, is the path of the environment's Python."""
    print(text, file=sys.stderr, flush=True)
