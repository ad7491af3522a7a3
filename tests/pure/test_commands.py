"""The commands are listed once, in lab/run.py; what else names them follows."""

import ast
import re
from pathlib import Path

import pytest

import run
from checks import trade

ROOT = Path(__file__).resolve().parents[2]


def test_the_help_says_what_every_command_does(capsys):
    assert run.main(["--help"]) == 0
    said = capsys.readouterr().out
    for name, does in run.commands().items():
        assert re.search(rf"^  {name} +{re.escape(does)}$", said, re.MULTILINE)
    assert "{" not in said


def test_a_command_that_there_is_not_is_refused_with_those_there_are(capsys):
    assert run.main(["places"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("There is no command 'places'.") and run.SCRIPTS["counts"].does in said.err


def test_the_readme_names_the_same_commands():
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"lab/run\.py ([a-z_]+(?:\s\|\s[a-z_]+)*)", text)
    assert {name for each in named for name in re.split(r"\s\|\s", each)} == set(run.commands())


@pytest.mark.parametrize("name", run.SCRIPTS)
def test_every_script_is_a_module_with_a_main_of_no_arguments(name):
    path = ROOT / "lab" / f"{run.SCRIPTS[name].module.replace('.', '/')}.py"
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    (main,) = (each for each in functions if each.name == "main")
    assert not main.args.args and run.SCRIPTS[name].does


def test_checks_without_a_name_makes_all_but_release_and_refuses_unknown_ones(monkeypatch, capsys):
    monkeypatch.setattr(trade, "ensure_checks", lambda: None)
    monkeypatch.setattr(trade, "outcomes_of", lambda names: dict.fromkeys(names, "passed"))
    monkeypatch.setattr("sys.argv", ["checks"])
    assert trade.main() == 0 and capsys.readouterr().out.split() == [w for n in trade.EVERYDAY for w in (n, "passed")]
    monkeypatch.setattr("sys.argv", ["checks", "types", "stile"])
    with pytest.raises(SystemExit):
        trade.main()
    assert "no check is called stile; there are style, types" in capsys.readouterr().err
