"""Files in the host's temp, output and input folders, and nowhere else."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import folder_paths
from PIL import Image
from torch import Tensor

from ...emerdiff_ops.files.names import check_name, inside, is_inside, with_slashes

FORMATS = {".jpg": "jpeg", ".png": "png"}


def temp_picture(name: str, draw: Callable[[], Tensor]) -> dict[str, str]:
    """Where a picture of the temp folder lies; draw() gives its pixels [H, W, 3] uint8 where it is not there yet.

    The name tells what the picture is drawn from, so no browser's cache shows an old one, and a picture that was drawn
    once is drawn again only if its file was removed.
    """
    path = Path(folder_paths.get_temp_directory()) / "emerdiff" / name
    if not path.exists():
        image = Image.fromarray(draw().cpu().numpy())
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{name}.{uuid.uuid4().hex}")  # no reader sees half a file, and no two writers share one
        image.save(part, FORMATS[path.suffix], quality=92, subsampling=0, compress_level=1)
        part.replace(path)
    return {"filename": name, "subfolder": "emerdiff", "type": "temp"}


def save_location(filename_prefix: str) -> str:
    """A new path in the output folder, numbered as the host numbers its pictures, without an ending.

    ValueError for a name that leads out of it, through links too, or that cannot be one.
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
