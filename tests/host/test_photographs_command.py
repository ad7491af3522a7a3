"""`lab/run.py photographs` on pictures made here in the photographs' place: missing folders, going on."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from measure import photographs
from reasons import Stop
from small_model.photographs import half_of
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once


@pytest.fixture
def root(tmp_path):
    """Two made scenes that are of the reporting half, and one that is not."""
    folder = tmp_path / "pictures"
    (folder / "weizmann").mkdir(parents=True)
    halves = {half: [n for n in range(40) if half_of(f"weizmann/{n:03}") == half] for half in ("reporting", "tuning")}
    for seed in [*halves["reporting"][:2], halves["tuning"][0]]:
        made = scene(HELD_OUT + 200 + seed, 128)
        Image.fromarray((made.image * 255).astype(np.uint8)).save(folder / "weizmann" / f"{seed:03}.jpg")
        np.savez(folder / "weizmann" / f"{seed:03}.npz", truth=(made.labels == made.labels.max())[None].repeat(3, 0))
    return folder


@pytest.fixture
def command(monkeypatch, tmp_path):
    def run(*arguments):
        words = "--output", tmp_path / "out", "--precision", "fp32", *arguments
        monkeypatch.setattr(sys, "argv", ["photographs", *map(str, words)])
        photographs.main()

    return run


def rows(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "small-model reporting lifting.jsonl").open()]


def test_it_measures_the_half_asked_for_and_goes_on_where_it_stopped(command, root, tmp_path, capsys):
    command("--root", root, "--preset", "draft", "--count", 1)
    before = rows(tmp_path)
    command("--root", root, "--preset", "draft")
    lifted = rows(tmp_path)
    assert lifted[: len(before)] == before and len(lifted) == 2 * len(before)
    assert {half_of(row["seed"]) for row in lifted} == {"reporting"}
    assert len({row["case"] for row in lifted}) == 5 and all(row["people"] == 1 for row in lifted)
    assert all(row["gain"] == pytest.approx(row["lifted"] - row["rough mask"]) for row in lifted)
    shown = capsys.readouterr().out
    assert "| draft | grown by 6 pixels | 2 |" in shown and "small-model, photographs of the reporting half" in shown
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".jsonl", ".md"}, "no picture is written"


def test_without_photographs_it_says_what_it_needs(command, tmp_path, capsys):
    with pytest.raises(Stop, match=r"^there are no photographs in .*--root.*$"):
        command("--root", tmp_path / "nowhere")
    assert not capsys.readouterr().out
