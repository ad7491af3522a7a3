"""Journals: a torn tail is nobody's record, a full disk leaves none, and writers in several processes take turns."""

import errno
import json
import os
import subprocess
import sys

import pytest

import journal
from comfyui.children import LAB
from reasons import Stop

WRITER = """
import sys
from pathlib import Path
import journal
for number in range(60):
    journal.append(Path(sys.argv[1]), {"by": sys.argv[2], "number": number, "long": "x" * 9000})
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "journal.jsonl"


def test_records_are_read_as_they_were_written(file):
    assert journal.read(file) == []
    records = [{"name": os.fsdecode(b"\xff\n\r"), "value": 1.5}, {"name": "\u2028", "value": None}, {}]
    journal.append(file, *records[:2])
    journal.append(file, records[2])
    journal.append(file)
    assert journal.read(file) == records


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b'{"number": 1', b'{"number": 1}', b"\xff", b"\r"])
@pytest.mark.parametrize("whole", [b"", b'{"number": 0}\n', b'{"number": 0}\r\n'])
def test_a_tail_without_a_newline_is_left_out_and_then_cut_off(file, whole, tail):
    file.write_bytes(whole + tail)
    before = [{"number": 0}] if whole else []
    assert journal.read(file) == before and file.read_bytes() == whole + tail
    journal.append(file, {"number": 2})
    assert journal.read(file) == [*before, {"number": 2}]
    assert file.read_bytes() == whole + b'{"number": 2}\n'


@pytest.mark.parametrize("line", [b"", b"[1, 2]", b"1", b'{"a": 1}', b'{"a": {"a": 1}', b"\xff", b"\0"])
def test_a_whole_line_that_is_no_record_is_named(file, line):
    file.write_bytes(b'{"seed": 0}\n' + line + b"\n")
    with pytest.raises(Stop, match=f"line 2 of {file} is not what this command writes: remove that line"):
        journal.read(file, "seed")


def test_of_records_that_find_no_room_none_is_left(file, monkeypatch):
    journal.append(file, {"number": 0})
    before = file.read_bytes()

    def fill_up(opened, content):
        opened.write(content[: len(content) - 3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(journal, "write_out", fill_up)
        with pytest.raises(Stop, match="takes no more .No space left"):
            journal.append(file, {"number": 1}, {"number": 2})
    assert file.read_bytes() == before
    journal.append(file, {"number": 1})
    assert journal.read(file) == [{"number": 0}, {"number": 1}]


@pytest.mark.skipif(sys.platform == "win32", reason="a journal has one writer there")
def test_writers_in_several_processes_take_turns_over_a_torn_tail(file):
    file.write_bytes(b'{"by": "an earl')
    commands = [[sys.executable, "-c", WRITER, str(file), str(number)] for number in range(4)]
    writers = [subprocess.Popen(command, cwd=LAB) for command in commands]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    read = [json.loads(line) for line in file.read_text().splitlines()]
    for number in range(4):
        assert [record["number"] for record in read if record["by"] == str(number)] == list(range(60))
    assert len(read) == 4 * 60
