"""What a machine of a cluster has to see, and what its workers write down."""

import os
import socket
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import journal


def missing(paths: Iterable[Path]) -> str:
    """Where this runs, and which of the paths are not there; "" where all are."""
    gone = ", ".join(str(path) for path in paths if not path.exists())
    return f"{socket.gethostname()} does not see {gone}" if gone else ""


class Diary:
    """A journal of what a worker does when. One that is started again goes on with it, and knows what it did before."""

    def __init__(self, file: Path):
        self.file = file
        self.before = Counter((each["does"], each["name"]) for each in journal.read(file))

    def note(self, does: str, name: str = "") -> None:
        now = datetime.now().isoformat(" ", "milliseconds")
        where = {"machine": socket.gethostname(), "process": os.getpid()}
        journal.append(self.file, {"time": now, **where, "does": does, "name": name})
