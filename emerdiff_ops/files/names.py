"""Checks of file names and folders: usable on every system, inside the folders that are allowed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from ..errors import shortened

# Windows opens these as devices, whatever the extension and the folder: "aux.txt" is one.
DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(\.|$)", re.IGNORECASE)
UNUSABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\ud800-\udfff]|[. ]$')
LONGEST_PART, LONGEST_NAME = 255, 1000  # bytes, characters


def inside(path: str | Path, roots: Iterable[str | Path]) -> Path:
    """The real path of `path`, links and ".." followed, taken from the first root where it exists.

    A relative path is taken from each root. Raises ValueError when it leads outside all of them.
    """
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    candidates = [Path(os.path.realpath(root / path)) for root in real_roots]
    allowed = [candidate for candidate in candidates if any(map(candidate.is_relative_to, real_roots))]
    if not allowed:
        folders = " or ".join(map(str, real_roots))
        raise ValueError(f"{path} is not inside {folders}; move the file there and give its name")
    return next(filter(os.path.exists, allowed), allowed[0])


def is_inside(path: str | Path, root: str | Path) -> bool:
    """Whether the real path of `path`, links and ".." followed, is `root` or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def with_slashes(name: str) -> str:
    """The name with / for every backslash: a workflow from Windows names the same file on every system."""
    return name.replace("\\", "/")


def check_name(name: str) -> None:
    """Raise ValueError for a path that is not usable on every system, before anything accesses it.

    Refused on every system are names that Windows cannot use or takes for devices, and network paths, which Windows
    logs in to on any access. So no workflow works here and breaks or hangs there.
    """
    path = PureWindowsPath(name)
    if re.match(r"[/\\]{2}", name) or (path.drive and not os.path.isabs(name)):
        raise ValueError(f'"{shortened(name)}" is on another computer or drive; give a name in the output folder')
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    unusable = [part for part in parts if UNUSABLE.search(part) or DEVICE.match(part)]
    if unusable or len(name) > LONGEST_NAME or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise ValueError(
            f'"{shortened(ascii(name)[1:-1])}" is no file name on every system: use a shorter one of letters, digits, '
            "_ and -, not ending in a dot or space, and no name of a device such as CON or AUX"
        )
