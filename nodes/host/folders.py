"""Files in the host's temp, output and input folders, and nowhere else."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import folder_paths
import torch
from PIL import Image
from torch import Tensor

from ...emerdiff_ops.files.names import check_name, inside, is_inside, with_slashes

log = logging.getLogger("EmerDiff")

FORMATS = {".jpg": "jpeg", ".png": "png"}


def temp_picture(name: str, draw: Callable[[], Tensor]) -> dict[str, str]:
    """Where a picture of the temp folder lies; draw() makes its pixels [H, W, 3] uint8 where the file is missing.

    The name tells what the picture is drawn from. So no browser's cache shows an old one, and a picture is drawn again
    only if its file was removed. Where it cannot be written (a full disk, a folder that takes no files), a warning
    says so, and the computed result is kept.
    """
    path = shown_folder() / name
    if not path.exists():
        image = Image.fromarray(draw().cpu().numpy())
        try:
            save_whole(image, path)
        except OSError as error:
            log.warning("%s; the picture on the node is missing, the result is complete: make room in %s", error, path)
    return {"filename": name, "subfolder": "emerdiff", "type": "temp"}


def save_whole(image: Image.Image, path: Path) -> None:
    """Writes a picture so that no reader sees half a file and no writers share one; an OSError leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        image.save(part, FORMATS[path.suffix], quality=92, subsampling=0, compress_level=1)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def mark_of_folder() -> str:
    """A text that changes when somebody removes the folder of pictures that nodes show."""
    mark = shown_folder() / "mark"
    with suppress(OSError):
        if not mark.exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(uuid.uuid4().hex)
        return mark.read_text()
    return ""


def input_picture(name: str) -> Tensor:
    """Brightness and opacity [H, W, 2] in 0..1 of a picture of the input folder; ValueError where there is none."""
    path = _in_input(name)
    if not path.is_file():
        raise ValueError(f'there is no picture "{name}" in the input folder: put it there, or clear the correction')
    try:
        with Image.open(path) as image:
            pixels = image.convert("LA")
    except (OSError, ValueError) as error:
        raise ValueError(f'"{name}" is no picture that can be read ({error}); clear the correction') from error
    return torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8).view(*pixels.size[::-1], 2) / 255


def mark_of_input(names: Iterable[str]) -> str:
    """A text that changes when somebody rewrites these files of the input folder."""
    times = []
    for name in names:
        with suppress(OSError, ValueError):
            times.append(f"{_in_input(name).stat().st_mtime_ns}")
    return " ".join(times)


def _in_input(name: str) -> Path:
    check_name(name)
    return inside(with_slashes(name), [folder_paths.get_input_directory()])


def shown_folder() -> Path:
    return Path(folder_paths.get_temp_directory()) / "emerdiff"


def save_location(filename_prefix: str) -> str:
    """A new path in the output folder, numbered as the host numbers its pictures, without an extension.

    ValueError for a name that leads out of the folder, also through links, or that is not valid.
    """
    check_name(f"{filename_prefix}_00001_.safetensors")
    filename_prefix = with_slashes(filename_prefix)
    output, name = folder_paths.get_output_directory(), os.path.normpath(filename_prefix)
    outside = ValueError(f'"{filename_prefix}" leads outside the output folder; use a name such as "emerdiff/value"')
    if os.path.basename(name) in ("", ".", "..") or not is_inside(Path(output) / os.path.dirname(name), output):
        raise outside
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, output)
    except OSError as error:
        raise ValueError(f'the output folder takes no "{filename_prefix}" ({error}); use another name') from error
    if not is_inside(folder, output):  # the host has put dates into the name
        raise outside
    return f"{folder}/{name}_{counter:05}_"


def find_file(file_name: str) -> Path:
    """A file of the output or the input folder, never one outside them; ValueError when there is none."""
    check_name(file_name)
    file_name = with_slashes(file_name)
    roots = [folder_paths.get_output_directory(), folder_paths.get_input_directory()]
    candidates = [inside(Path(root) / file_name, roots) for root in roots]
    found = [path for path in candidates if os.path.isfile(path)]
    if not found:
        raise ValueError(
            f'there is no file "{file_name}" in the output or input folder; give the name EmerDiff Save made'
        )
    return found[0]
