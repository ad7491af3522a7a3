"""What the repository's page is made from: forms for issues, and the commands that its workflows run."""

import re
from pathlib import Path

import pytest
import yaml

from checks import trade

GITHUB = Path(__file__).resolve().parents[2] / ".github"
FORMS = {
    "fault": {"done", "workflow", "log", "comfyui", "model", "device", "packs"},
    "wish": {"purpose", "wish", "today"},
}
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FORMS)
def test_a_form_asks_for_what_is_needed(name):
    form = read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert form["name"] and form["description"] and form["body"]
    assert {field["type"] for field in form["body"]} <= KINDS
    asked = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(asked) == len(set(asked)) and set(asked) == FORMS[name]
    labels = [field["attributes"]["label"] for field in form["body"]]
    assert all(labels) and len(set(labels)) == len(labels)
    assert any(field.get("validations", {}).get("required") is True for field in form["body"])


def test_there_are_these_forms_and_no_blank_one():
    assert {path.stem for path in (GITHUB / "ISSUE_TEMPLATE").iterdir()} == {*FORMS, "config"}
    config = read(GITHUB / "ISSUE_TEMPLATE" / "config.yml")
    assert config["blank_issues_enabled"] is False
    assert all({"name", "url", "about"} == link.keys() for link in config["contact_links"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_can_be_read_and_what_it_uses_is_pinned(path):
    jobs = read(path)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert steps and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)


def test_publishing_asks_first_whether_a_release_may_be_made():
    commands = [step.get("run", "") for step in read(GITHUB / "workflows" / "publish.yml")["jobs"]["publish"]["steps"]]
    (asked,) = [command for command in commands if "run.py checks" in command]
    names = asked.split("checks ")[1].split()
    assert {"registry", "archive", "release"} == set(names) <= trade.ALL.keys()
    assert commands.index(asked) < next(at for at, each in enumerate(commands) if "node publish" in each)


def test_stale_translations_are_taken_out_of_main():
    workflow = read(GITHUB / "workflows" / "translations.yml")
    commands = [step.get("run", "") for step in workflow["jobs"]["translations"]["steps"]]
    assert "python3 lab/run.py locales" in commands and "git push" in commands[-1]
