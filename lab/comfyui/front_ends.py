"""The front ends to test in: the one that ComfyUI brings, and the newest, a package on PyPI, fetched into .host/."""

import zipfile
from pathlib import Path

from .environment import HOSTS, from_pypi, one_at_a_time, stamp_of, write_stamp

OWN = "its own"  # the one that this ComfyUI brings
PACKAGE = "comfyui-frontend-package"
NEWEST, SHA256 = "1.58.1", "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9"
INSIDE = "comfyui_frontend_package/static/"


def flags_of(front_end: str) -> tuple[str, ...]:
    """What a server is started with to serve its own front end, or the newest."""
    return ("--front-end-root", str(ensure_front_end())) if front_end == NEWEST else ()


def ensure_front_end() -> Path:
    """The folder of the newest front end, for ComfyUI's --front-end-root, fetched first if missing."""
    folder = HOSTS / f"front-end-{NEWEST}"
    if stamp_of(folder) != SHA256:
        with one_at_a_time():
            if stamp_of(folder) != SHA256:
                unpack(download(), folder)
                write_stamp(folder, SHA256)
    return folder


def download() -> Path:
    """The verified wheel."""
    what = f"ComfyUI's front end {NEWEST}, about 30 MB, for the tests in a browser"
    wheel = f"{PACKAGE.replace('-', '_')}-{NEWEST}-py3-none-any.whl"
    return from_pypi(PACKAGE, NEWEST, SHA256, wheel, what, "--only-binary=:all:")


def unpack(wheel: Path, folder: Path) -> None:
    """What the wheel has of the front end, but for the maps of its sources."""
    with zipfile.ZipFile(wheel) as file:
        for name in file.namelist():
            path = folder / name.removeprefix(INSIDE)
            if name.startswith(INSIDE) and not name.endswith(("/", ".map")):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read(name))
