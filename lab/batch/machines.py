"""What a machine of a cluster has to see, and what its workers write down."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path


def missing(paths: Iterable[Path]) -> str:
    """Where this runs, and which of the paths are not there; "" where all are."""
    gone = ", ".join(str(path) for path in paths if not path.exists())
    return f"{socket.gethostname()} does not see {gone}" if gone else ""


class Diary:
    """A file of what a worker does when. One that is started again goes on with it, and knows what it did before."""

    def __init__(self, file: Path):
        self.file = file
        self.before = Counter(what for _, what in entries(file))

    def note(self, text: str) -> None:
        now = datetime.now().isoformat(" ", "milliseconds")
        with open(self.file, "a") as file:
            file.write(f"{now} {socket.gethostname()} {os.getpid()} {text}\n")


def entries(file: Path) -> Iterator[tuple[str, str]]:
    """When, and what, by the diary in a file. A line that broke off, as on a full disk, is left out."""
    for line in file.read_text().splitlines() if file.exists() else []:
        parts = line.split(" ", 4)
        if len(parts) == 5:
            yield f"{parts[0]} {parts[1]}", parts[4]
