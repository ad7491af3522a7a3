"""The same work on many names: by this process, or by a cluster."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cluster", metavar="local|ADDRESS", help="on many processes or machines, by Ray")
    parser.add_argument("--workers", type=int, help="so many; default: one for each GPU, or for each machine without")


def each_done(
    make: Callable, job: Any, names: Sequence[str], options: argparse.Namespace, diaries: Path, *seen: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, make(job)(name)) for every name, as it is done. A cluster keeps diaries, and has to see some paths."""
    if options.cluster and names:
        from batch.cluster import Cluster, spread  # Ray is there only where it was asked for

        cluster = Cluster(options.cluster, options.workers, diaries, tuple(path for path in seen if path))
        yield from spread(make, job, names, cluster)
    elif names:
        work = make(job)
        for name in names:
            yield name, work(name)


def progress(every: int, left: int) -> tqdm:
    """A bar of so many pictures, of which some are left; where nobody watches, a line every ten seconds."""
    often = 0.1 if sys.stderr.isatty() else 10
    return tqdm(total=every, initial=every - left, unit="picture", mininterval=often)
