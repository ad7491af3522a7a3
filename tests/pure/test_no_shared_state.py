"""Nothing outlives a call: the pack's modules and classes hold constants, so that prompts cannot see each other."""

import ast
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
CHANGES = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear"}
CACHES = {"cache", "lru_cache", "cached_property", "ContextVar", "local", "defaultdict", "Cache"}


def module_names(tree: ast.Module) -> set[str]:
    """Names that the module assigns, and its classes."""
    found = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for statement in tree.body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        found |= {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def root(node: ast.AST) -> str | None:
    """The name that an expression like name.x[0].y begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def shared_state(source: str) -> list[str]:
    """What could carry something from one call to the next, as "line: what"."""
    tree = ast.parse(source)
    constants, found = module_names(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.append((node.lineno, "global"))
        if isinstance(node, ast.Name | ast.Attribute) and getattr(node, "id", getattr(node, "attr", "")) in CACHES:
            found.append((node.lineno, "a cache"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            if root(node.func.value) in constants:
                found.append((node.lineno, f"changes {root(node.func.value)}"))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Attribute | ast.Subscript) and root(target) in constants | {"cls"}:
                    found.append((node.lineno, f"changes {root(target)}"))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            if any(isinstance(each, ast.List | ast.Dict | ast.Set | ast.Call) for each in defaults):
                found.append((node.lineno, "a default that can change"))
    return [f"{line}: {what}" for line, what in found] + loose_names(tree)


def loose_names(tree: ast.Module) -> list[str]:
    """Module names that do not look like constants, types or a log."""
    names = [
        (statement.lineno, target.id)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]
    usual = ("log", "__all__")
    return [f"{line}: {name} is no constant" for line, name in names if name not in usual and name[0].islower()]


@pytest.mark.parametrize(
    "source",
    [
        "A = {}\ndef f(x):\n    A[x] = 1",
        "A = []\ndef f(x):\n    A.append(x)",
        "A = 0\ndef f():\n    global A\n    A = 1",
        "from functools import lru_cache\n@lru_cache\ndef f(): pass",
        "import functools\n@functools.cache\ndef f(): pass",
        "class A:\n    seen = set()\n    def f(self, x):\n        A.seen.add(x)",
        "class A:\n    @classmethod\n    def f(cls):\n        cls.last = 1",
        "def f(x, seen=[]):\n    seen.append(x)",
        "seen = 3",
        "A = {}\ndef f():\n    del A['x']",
        "A = {'x': []}\ndef f():\n    A['x'].append(1)",
    ],
)
def test_the_check_finds_every_kind_of_shared_state(source):
    assert shared_state(source)


def test_the_check_lets_constants_and_calls_be():
    assert not shared_state("A = {'x': 1}\nlog = 3\ndef f(a, b=()):\n    c = {}\n    c['x'] = A['x']\n    c.update(b)")


def test_no_module_keeps_anything():
    files = [PACK / "__init__.py", *(PACK / "nodes").rglob("*.py"), *(PACK / "emerdiff_ops").rglob("*.py")]
    assert [(path, each) for path in files for each in shared_state(path.read_text())] == []
