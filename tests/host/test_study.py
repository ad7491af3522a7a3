"""The skeleton of measurements: what is missing is measured, models share a table where asked, pages get theirs."""

import sys

import pytest

from measure import study
from measure.beds import SMALL_MODEL
from measure.pictures import Pictures, Scenes
from measure.study import Study
from measure.tables import means
from reasons import Stop


@pytest.fixture
def started(monkeypatch, tmp_path):
    """A study with such arguments; its pipeline is only its bed's name."""
    monkeypatch.setattr(study, "Pipeline", lambda dtype, bed: bed.name)

    def start(*arguments, **settings):
        words = "study", "--output", tmp_path / "out", "--precision", "fp32", *arguments
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        return Study("study", "What is measured.\n\nMore.", Scenes(first=7), **settings)

    return start


def table(rows, title):
    return means(rows, title, ("case",))


def by_model(rows, title):
    return means(rows, title, ("model",), {"score": "score"})


def measured(pipeline, seed, missing):
    for case in missing:
        yield {"case": case, "score": seed}


def cases(row):
    return row["case"]


def test_only_what_is_missing_is_measured(started, tmp_path):
    started("--scenes", 1).measure(measured, table, ("a",), cases)
    asked = []

    def asking(pipeline, seed, missing):
        asked.append((pipeline, seed, missing))
        return measured(pipeline, seed, missing)

    rows = started("--scenes", 2).measure(asking, table, ("a", "b"), cases)
    assert asked == [("small-model", 7, ["b"]), ("small-model", 8, ["a", "b"])]
    assert [(row["seed"], row["case"]) for row in rows] == [(7, "a"), (7, "b"), (8, "a"), (8, "b")]
    lines = (tmp_path / "out" / "small-model.md").read_text().splitlines()
    assert lines[0] == "small-model, scenes; mean +- standard error." and lines[4] == "| a | 2 | 7.500 +- 0.500 |"


def test_nothing_is_started_when_the_time_is_over(started):
    assert started("--minutes", 0).measure(measured, table, ("a",), cases) == []


def test_several_models_have_one_table(started, tmp_path):
    for model in ("small-model", "small-sd"):
        rows = started("--scenes", 1, "--model", model, several=True).measure(measured, by_model, ("a",), cases, "part")
    assert [row["model"] for row in rows] == ["small-model", "small-sd"]
    assert "| small-sd | 1 | 7.000 |" in (tmp_path / "out" / "part.md").read_text()


def test_a_study_of_one_model_takes_no_other(started):
    assert started("--scenes", 1, model=SMALL_MODEL).bed is SMALL_MODEL
    with pytest.raises(SystemExit):
        started("--model", "small-sd", model=SMALL_MODEL).measure(measured, table)


def test_publishing_measures_nothing_and_writes_the_page_whole(started, tmp_path, monkeypatch):
    started("--scenes", 1).measure(measured, table, ("a",), cases)
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "docs" / "measured").mkdir(parents=True)
    page = tmp_path / "docs" / "measured" / "study.md"
    page.write_text("# old\n\nold words\n\n## small-model\n\nold figures\n\n## other-model\n\nkept figures\n")
    with pytest.raises(SystemExit) as ended:
        started("--publish").measure(None, None)
    assert not ended.value.code
    text = page.read_text()
    assert text.startswith("# study\n\nWhat is measured.\n\n    python3 lab/run.py study") and "old" not in text
    assert "More." not in text and text.endswith("## other-model\n\nkept figures\n")
    assert text.count("## ") == 2 and "| a | 1 | 7.000 |" in text


def test_a_first_page_has_what_there_is(started, tmp_path, monkeypatch):
    started("--scenes", 1).measure(measured, table, ("a",), cases)
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "docs" / "measured").mkdir(parents=True)
    with pytest.raises(SystemExit):
        started("--publish").measure(None, None)
    assert "\n## small-model\n" in (tmp_path / "docs" / "measured" / "study.md").read_text()


def test_a_picture_made_of_photographs_that_are_not_there_ends_it_with_a_sentence(started, tmp_path):
    one = started()
    one.material = Pictures("tuning", 1)
    for name, value in {"kinds": ["textured"], "count": 1, "half": "tuning", "root": tmp_path}.items():
        setattr(one.options, name, value)
    with pytest.raises(Stop, match=r"^there are no photographs in .*--root"):
        one.measure(measured, table)
