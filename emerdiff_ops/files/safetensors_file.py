"""EmerDiff values in safetensors files: one value per file, checked whenever it is written or read.

The metadata holds {"emerdiff": kind, "version": "1"} and further strings; layout.SPECS names each kind's tensors.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import shortened
from .layout import SPECS, problem

VERSION = 1
UNFINISHED = ".emerdiff-unfinished-"  # prefix of the names of temporary folders
FORGOTTEN = 24 * 60 * 60  # seconds; an older temporary folder is no longer in use


def save(path: str | Path, kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors of a value of `kind`; the file appears under its name only when it is complete.

    This holds even if the process is killed, which leaves a hidden folder that a save on a later day removes.
    Raises ValueError when the tensors do not fit `layout.SPECS[kind]`.
    """
    path = Path(path)
    _require_valid(path, kind, tensors, metadata)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _remove_forgotten(path.parent)
    # a folder, because safetensors writes through a temporary file whose name it chooses itself
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        save_file(plain, unfinished, {**metadata, "emerdiff": kind, "version": str(VERSION)})
        _as_any_file(unfinished)
        os.replace(unfinished, path)


def load(path: str | Path) -> tuple[str, dict[str, torch.Tensor], dict[str, str]]:
    """Read a file written by `save`: its kind, tensors (on the CPU) and metadata, all checked.

    Raises ValueError, naming the file and the remedy, for any other file.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise ValueError(f"there is no file {path}; check the name, or save the value again")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            kind = _kind(path, metadata)
            # cloned, because they would otherwise keep reading from the file
            tensors = {name: file.get_tensor(name).clone() for name in SPECS[kind] if name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error}); save the value again") from error
    _require_valid(path, kind, tensors, metadata)
    return kind, tensors, metadata


def _remove_forgotten(folder: Path) -> None:
    """Remove the folders that killed saves left, but not younger ones, which another server may be writing to."""
    for unfinished in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - unfinished.lstat().st_mtime > FORGOTTEN:
                shutil.rmtree(unfinished)  # an error for files and links


def _as_any_file(path: Path) -> None:
    """Give the file the permissions of new files (safetensors lets only the owner read), and flush it to the disk.

    Without the flush a power failure can leave the new name with a part of its contents. File systems that support
    neither (CIFS, mounts of Docker) refuse; the file is saved all the same.
    """
    usual = path.with_name("usual")
    usual.touch()
    with suppress(OSError):
        shutil.copymode(usual, path)
    with path.open("r+b") as file, suppress(OSError):
        os.fsync(file.fileno())


def _kind(path: Path, metadata: Mapping[str, str]) -> str:
    kind, version = metadata.get("emerdiff"), metadata.get("version", "")
    if kind is None:
        raise ValueError(f"{path} was not written by EmerDiff; choose a file saved by the EmerDiffSave node")
    if not re.fullmatch("[0-9]{1,9}", version):
        raise ValueError(f"{path} names no format version; save the value again")
    if int(version) > VERSION:
        raise ValueError(f"{path} was written by a newer EmerDiff (format {version}, not {VERSION}); update this pack")
    if kind not in SPECS:
        raise ValueError(f'{path} holds an unknown kind of value, "{shortened(kind)}"; save the value again')
    return kind


def _require_valid(path: Path, kind: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    wrong = problem(kind, tensors, metadata)
    if wrong:
        raise ValueError(f"{path}: {wrong}; save the value again from the node that makes it")
