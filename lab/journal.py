"""Journals: files of JSON lines that a run which may be stopped at any moment writes, and the next one goes on with.

A record counts once its newline is on the disk. What stands behind the last newline is the torn tail of a stopped run:
no reader sees it, and the next writer cuts it off. Writers in several processes take turns.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from reasons import Stop

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows: there a journal has one writer

Record = dict[str, Any]


def read(file: Path, *needed: str) -> list[Record]:
    """The whole records so far. Stop where a line is not a record with the keys that are needed."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [parsed(line, needed, f"line {number} of {file}") for number, line in enumerate(lines, 1)]


def parsed(line: bytes, needed: Iterable[str], where: str) -> Record:
    try:
        record = json.loads(line)
        return {key: record[key] for key in [*record.keys(), *needed]}
    except (ValueError, KeyError, AttributeError):
        raise Stop(f"{where} is not what this command writes: remove that line") from None


def append(file: Path, *records: Record) -> None:
    """Add the records and see them to the disk: all of them, or none and Stop where there is no room."""
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    with open(file, "a+b", buffering=0) as journal:
        take_turn(journal)
        end = without_tail(journal)
        try:
            write_out(journal, text)
        except OSError as error:
            journal.truncate(end)
            raise no_more(file.parent, error) from error


def no_more(folder: Path, error: OSError) -> Stop:
    done = "What was done stays: make room, and the same command goes on from there."
    return Stop(f"{folder} takes no more ({error.strerror}). {done}")


def take_turn(journal: BinaryIO) -> None:
    """Wait until no other process appends; the turn ends when the file is closed."""
    if fcntl:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(journal, fcntl.LOCK_EX)


def without_tail(journal: BinaryIO) -> int:
    """Cut off a torn tail; the size of what is left."""
    size = journal.seek(0, os.SEEK_END)
    journal.seek(max(0, size - 1))
    if journal.read(1) not in (b"", b"\n"):
        journal.seek(0)
        size = journal.truncate(journal.read().rfind(b"\n") + 1)
    return size


def write_out(file: BinaryIO, content: bytes) -> None:
    """Write it, and wait until it is on the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    file.flush()
    os.fsync(file.fileno())
