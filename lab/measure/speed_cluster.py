"""A folder of pictures segmented by one process, and by several workers of a cluster on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import journal
from measure.tables import markdown
from small_model.scenes import HELD_OUT, scene

RUN = Path(__file__).resolve().parents[1] / "run.py"
PICTURES, SIZE = 60, 512
WORKERS = (1, 2, 4)

Times = tuple[list[float], list[float]]  # when a worker began each picture, and when it had done it


def cluster(options) -> str:
    """The command on one folder without a cluster, then with so many workers: how long, and at which rate."""
    lines: list[list] = []
    title = (
        f"`lab/run.py segment` on {PICTURES} scenes of {SIZE} pixels, preset draft, small model; "
        f"{os.cpu_count()} cores. A worker computes with one thread where there are at least as many workers as cores."
    )
    with TemporaryDirectory() as folder:
        pictures = fill(Path(folder) / "pictures")
        seconds, rates = segmented(pictures, Path(folder) / "alone"), []
        of_each = [row["seconds"] for row in journal.read(Path(folder) / "alone/segments.jsonl")]
        lines.append(["the command itself, no cluster", f"{seconds:.0f}", f"{1 / np.mean(of_each):.2f}", ""])
        for count in WORKERS:
            output = Path(folder) / f"workers {count}"
            seconds = segmented(pictures, output, "--cluster", "local", "--workers", str(count))
            rates.append(rate(map(times, (output / "workers").glob("*.jsonl"))))
            ratio = f"{rates[-1] / rates[0]:.2f}"
            lines.append([f"workers: {count}", f"{seconds:.0f}", f"{rates[-1]:.2f}", ratio])
            print(*lines[-1], flush=True)
    heads = ["processes", "seconds of the command", "pictures a second while all work", "times one worker"]
    return markdown(title, heads, lines)


def fill(folder: Path) -> Path:
    """The folder, with scenes as files."""
    folder.mkdir()
    for number in range(PICTURES):
        pixels = (scene(HELD_OUT + number, SIZE).image * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def segmented(pictures: Path, output: Path, *arguments: str) -> float:
    """Seconds of the command."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, RUN, "segment", pictures, "--output", output, *arguments], check=True)
    return time.perf_counter() - begin


def times(diary: Path) -> Times:
    """Of a worker's diary."""
    notes = [(datetime.fromisoformat(note["time"]).timestamp(), note["does"]) for note in journal.read(diary)]
    return [each for each, does in notes if does == "begins"], [each for each, does in notes if does == "ends"]


def rate(workers: Iterable[Times]) -> float:
    """Pictures a second between the last worker's first beginning and the first worker's last end."""
    began, ended = zip(*workers)
    begin, end = max(each[0] for each in began), min(each[-1] for each in ended)
    return sum(begin < moment <= end for each in ended for moment in each) / (end - begin)
