"""`lab/run.py segment` stopped at any moment, by a kill, a torn line or a full disk: nothing half, nothing twice."""

import contextlib
import errno
import json
import os
import sys
import time

import numpy as np
import pytest
from commands import Command
from PIL import Image
from segmented_folders import SIZE, comparable, files, fill, rows

import journal

pytestmark = pytest.mark.once


# --- going on ---


def test_nothing_is_done_twice_and_what_lost_its_label_map_is_done_again(folder, output, segment, capsys):
    fill(folder, ["a.png", "b.png"])
    assert segment() == 0
    before = files(output)
    assert segment() == 0
    assert "0 pictures segmented, 2 were done before" in capsys.readouterr().out and files(output) == before
    (output / "labels" / "a.png.png").unlink()
    assert segment() == 0
    assert "1 pictures segmented, 1 were done before" in capsys.readouterr().out
    assert files(output).keys() == before.keys()


def test_a_line_that_is_not_ours_is_named(folder, output, segment, capsys):
    fill(folder, ["a.png"])
    assert segment() == 0
    with (output / "segments.jsonl").open("a") as file:
        file.write("[1, 2]\n")
    assert segment() == 1
    assert f"line 2 of {output / 'segments.jsonl'} is not what this command writes" in capsys.readouterr().err


def test_a_run_killed_at_any_moment_leaves_nothing_half_and_the_next_goes_on(folder, output, segment, tmp_path):
    """A process of its own, ended by SIGKILL some time after a line appeared, twice."""
    names = [f"{number:02}.png" for number in range(12)]
    fill(folder, names)
    arguments, log, killed = [folder, "--output", output, "--masks"], output / "segments.jsonl", []
    for delay in (0.0, 0.37):
        command_line = [sys.executable, "-P", "-m", "comfyui.launch", "segment", "batch.segment", *arguments]
        with Command(command_line, tmp_path / "said", 300) as process:
            wait_for_lines(process, log, len(killed) * 3 + 2)
            time.sleep(delay)
        lines = log.read_bytes().splitlines(keepends=True)
        killed.append([json.loads(line)["path"] for line in lines if line.endswith(b"\n")])
        for path in (output / "labels").iterdir():  # each is whole, its line written or not
            assert np.asarray(Image.open(path)).shape == (SIZE, SIZE)
    assert segment("--masks") == 0
    done = [row["path"] for row in rows(output)]
    assert sorted(done) == names  # every one, and once
    for before in killed:
        assert done[: len(before)] == before
    assert {path.name for path in output.iterdir()} == {".lock", "labels", "masks", "overlays", "segments.jsonl"}
    assert {path.name for path in (output / "masks").iterdir()} == set(names)


def wait_for_lines(process, log, count):
    while process.runs():
        with contextlib.suppress(FileNotFoundError):
            if log.read_bytes().count(b"\n") >= count:
                return
        time.sleep(0.01)
    raise AssertionError(process.said())


# --- a full disk ---


def test_a_full_disk_is_said_and_what_was_done_stays(folder, output, segment, monkeypatch, capsys, tmp_path):
    """Full at one write after another: half of what was to be written is, then the disk takes no more."""
    fill(folder, ["a.png", "b.png"])
    writes, write_out = [], journal.write_out

    def until(limit):
        def filling(file, content):
            writes.append(file.name)
            if len(writes) > limit:
                file.write(content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_out(file, content)

        writes.clear()
        monkeypatch.setattr(journal, "write_out", filling)

    until(10**6)
    assert segment("--masks") == 0
    whole, total = comparable(output), len(writes)
    for limit in (0, total // 2 - 1, total // 2, total - 1):
        output.rename(tmp_path / f"before {limit}")
        until(limit)
        assert segment("--masks") == 1
        assert f"{output} takes no more (No space left on device). What was done stays" in capsys.readouterr().err
        left = comparable(output)
        assert left.items() <= whole.items()
        until(10**6)
        assert segment("--masks") == 0
        assert comparable(output) == whole and sorted(row["path"] for row in rows(output)) == ["a.png", "b.png"]
