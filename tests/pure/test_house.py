"""How large things may become before they are to be taken apart, and that every package names its modules."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("emerdiff_ops", "nodes", "lab", "tests")
LONGEST_FILE, LONGEST_NODE = 350, 90  # lines
MOST_PARAMETERS = 7
SCHEMAS = "execute"  # of a node: its inputs are its schema's

FILES = [ROOT / "__init__.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
PACKAGES = [path for path in FILES[1:] if path.name == "__init__.py"]
PACK = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("emerdiff_ops", "nodes")]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(function) -> int:
    given = function.args
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs])


def too_many_parameters(tree: ast.AST) -> list[str]:
    return [each.name for each in functions(tree) if parameters(each) > MOST_PARAMETERS and each.name != SCHEMAS]


def closures_in_closures(tree: ast.AST) -> list[str]:
    """Functions that stand three deep: in a function in a function."""
    deep = [inner for outer in functions(tree) for inner in functions(outer) if inner is not outer]
    return [third.name for inner in deep for third in functions(inner) if third is not inner]


def listed(text: str) -> list[str]:
    """The modules and packages that a docstring lists: a line each, `name  what it is`, a package as `name/`."""
    return re.findall(r"^ *(\w+/?) {2,}\S", ast.get_docstring(ast.parse(text)) or "", re.MULTILINE)


def contents(package: Path) -> set[str]:
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return modules | {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}


def test_the_checks_find_what_they_look_for():
    tree = ast.parse(
        "def f(a, b, c, d, e, g, h, i):\n    def k():\n        def m(): pass\nclass A:\n    def execute(*a): pass"
    )
    assert too_many_parameters(tree) == ["f"] and closures_in_closures(tree) == ["m"]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_too_long_to_be_read():
    assert [named(path) for path in FILES if lines(path) > LONGEST_FILE] == []


def test_a_node_file_is_a_schema_and_a_few_lines():
    long = [path for path in (ROOT / "nodes").glob("*.py") if lines(path) > LONGEST_NODE]
    assert [named(path) for path in long if "define_schema" in path.read_text()] == []


def test_functions_take_few_parameters_and_closures_stand_alone():
    trees = {named(path): ast.parse(path.read_text()) for path in PACK}
    faults = {name: too_many_parameters(tree) + closures_in_closures(tree) for name, tree in trees.items()}
    assert {name: found for name, found in faults.items() if found} == {}


def test_a_list_of_modules_is_told_from_prose():
    lines = ["What it is.", "", "Two lines", "of prose.", "", "one    the first", "two/   the second", "       goes on"]
    assert listed('"""' + "\n".join(lines) + '\n"""\n\nthree  = 3\n') == ["one", "two/"]


def test_every_package_names_its_modules_once_and_no_others():
    for path in PACKAGES:
        assert sorted(listed(path.read_text())) == sorted(contents(path.parent)), named(path)
