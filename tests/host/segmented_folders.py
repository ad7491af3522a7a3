"""What the tests of `lab/run.py segment` share: small scenes as files, and what a run left of them."""

import json
import sys

import numpy as np
from PIL import Image

import journal
from batch import segment
from reasons import ended
from small_model.scenes import HELD_OUT, scene

SIZE = 64


def picture(number=0, size=SIZE):
    """uint8 [size, size, 3]"""
    return (scene(HELD_OUT + number, size).image * 255).round().astype(np.uint8)


def fill(folder, names):
    """Pictures of these names, each another scene."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(folder / name)


def run(monkeypatch, folder, output, *arguments):
    """The command in this process: its exit code."""
    monkeypatch.setattr(sys, "argv", ["segment", str(folder), "--output", str(output), *map(str, arguments)])
    return ended(segment.main)


def rows(output):
    return [json.loads(line) for line in (output / "segments.jsonl").open()]


def labels_of(output, name):
    return np.asarray(Image.open(output / "labels" / f"{name}.png"))


def files(output):
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def comparable(output):
    """All files but the lines, which tell how long it took, and the lock."""
    return {name: content for name, content in files(output).items() if name not in ("segments.jsonl", ".lock")}


def begun(diaries, host=None):
    """The names that workers began, again and again where they did; those of one machine alone."""
    notes = [note for diary in diaries.glob("*.jsonl") for note in journal.read(diary) if note["does"] == "begins"]
    return [note["name"] for note in notes if host in (None, note["machine"])]


def printed_rows(process):
    """What light_work.py printed, a row a name; each must be there once."""
    printed = [json.loads(line) for line in process.said().splitlines() if line.startswith('["')]
    assert len(printed) == len(dict(printed))
    return dict(printed)
