"""Every command that goes on where it stopped: its journal is cut at each byte of the last line, and goes on whole."""

import json
from types import SimpleNamespace

import pytest

import journal
from batch import results
from batch.machines import Diary
from measure import log
from protocols import protocol

NAMES = ["first", "second", "third"]


def segment(file, names, monkeypatch):
    """As `segment` does with what is left."""
    for name in sorted(set(names) - results.done(file.parent, {}), key=names.index):
        (file.parent / name).touch()
        journal.append(file, {"path": name, "settings": {}, "labels": name})


def score(file, names, monkeypatch):
    monkeypatch.setattr(protocol, "Scorer", lambda job: lambda name: {"segments": 1})
    options = SimpleNamespace(minutes=1, cluster=None, root=file.parent)
    protocol.measure_rest(SimpleNamespace(files=names, checkpoint=None), file, options)


def measure(file, names, monkeypatch):
    """As every `Study` does."""
    log.measure_missing(file, [{"seed": name} for name in names], lambda item, missing: [{"figure": 1}])


def keep_a_diary(file, names, monkeypatch):
    """A worker that was started again begins what it had not begun."""
    diary = Diary(file)
    for name in names:
        if not diary.before["begins", name]:
            diary.note("begins", name)


COMMANDS = {  # each with the file that it writes, and the key by which a record is known
    segment: ("segments.jsonl", "path"),
    score: ("scores.jsonl", "seed"),
    measure: ("figures.jsonl", "seed"),
    keep_a_diary: ("worker.jsonl", "name"),
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_a_journal_cut_at_any_byte_of_its_last_line_goes_on_whole(command, tmp_path, monkeypatch):
    file, key = tmp_path / COMMANDS[command][0], COMMANDS[command][1]
    command(file, NAMES[:2], monkeypatch)
    first, second = file.read_bytes().splitlines(keepends=True)
    for left in range(len(second)):
        file.write_bytes(first + second[:left])
        command(file, NAMES, monkeypatch)
        lines = file.read_bytes().splitlines(keepends=True)
        assert lines[0] == first and lines[-1].endswith(b"\n")
        assert [json.loads(line)[key] for line in lines] == NAMES
