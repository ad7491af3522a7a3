"""A ComfyUI of the user's own, by COMFYUI_PATH, and its Python; nothing is installed into it."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from reasons import Stop


class SetupError(Stop):
    """Something is missing that only the user, or the network, can bring. The text says what to do."""


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


def python_of(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"
