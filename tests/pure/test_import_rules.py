"""Imports run down only, nodes -> steps -> host -> mathematics, and only nodes/host/ knows what ComfyUI is made of."""

import ast
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
FLOORS = ("emerdiff_ops", "nodes.host", "nodes.steps", "nodes")  # from the ground up
MAY = {  # what each floor may import from outside the pack, beside the standard library
    "emerdiff_ops": {"torch", "einops", "numpy", "safetensors", "scipy", "PIL"},
    "nodes.host": {"torch", "PIL", "comfy", "comfy_execution", "folder_paths", "latent_preview", "node_helpers"},
    "nodes.steps": {"torch", "PIL"},
    "nodes": {"torch", "comfy_api.latest", "comfy_execution.graph_utils"},  # the host's interface for nodes
}


def imports(source: str) -> list[tuple[int, str]]:
    """(level, module) of every import at any depth; level 0 is absolute. `from . import x` names ".x" as (1, "x")."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module)] if node.module else [(node.level, alias.name) for alias in node.names]
    return found


def floor_of(module: str) -> str:
    """The floor that a module of the pack, such as "nodes.steps.lift", lies on."""
    return next(floor for floor in FLOORS if f"{module}.".startswith(f"{floor}."))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACK).with_suffix("").parts)


def allowed(module: str, level: int, name: str) -> bool:
    """Whether a module of the pack may import `name`, `level` dots before it."""
    floor = floor_of(module)
    if level:
        target = ".".join([*module.split(".")[:-level], name])
        return target.startswith(FLOORS) and FLOORS.index(floor_of(target)) <= FLOORS.index(floor)
    return name.split(".")[0] in sys.stdlib_module_names | MAY[floor] or name in MAY[floor]


def python_files() -> list[Path]:
    """Every Python file of the repository; environments and hosts lie in hidden folders."""
    folders = [path for path in PACK.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(PACK.glob("*.py")) + sorted(path for folder in folders for path in folder.rglob("*.py"))


PACK_FILES = [path for folder in ("emerdiff_ops", "nodes") for path in sorted((PACK / folder).rglob("*.py"))]


def test_the_check_sees_imports_of_every_form():
    source = (
        "import comfy.utils as u\ndef f():\n    from comfy import x\n    from . import a, b\n    from ..ops.k import c"
    )
    assert imports(source) == [(0, "comfy.utils"), (0, "comfy"), (1, "a"), (1, "b"), (2, "ops.k")]


@pytest.mark.parametrize(
    ("module", "level", "name", "may"),
    [
        ("nodes.lift_mask", 1, "steps.lift", True),
        ("nodes.lift_mask", 2, "emerdiff_ops.segments.colors", True),
        ("nodes.lift_mask", 0, "comfy_api.latest", True),
        ("nodes.lift_mask", 0, "comfy_api.v0", False),
        ("nodes.lift_mask", 0, "folder_paths", False),
        ("nodes.steps.lift", 1, "modulate", True),
        ("nodes.steps.lift", 2, "host.unet", True),
        ("nodes.steps.lift", 2, "inputs", False),
        ("nodes.steps.lift", 0, "comfy.utils", False),
        ("nodes.steps.lift", 0, "comfy_api.latest", False),
        ("nodes.host.unet", 2, "steps.lift", False),
        ("nodes.host.unet", 2, "wires", False),
        ("nodes.host.unet", 3, "emerdiff_ops.schedule", True),
        ("nodes.host.unet", 0, "comfy.utils", True),
        ("emerdiff_ops.files.layout", 2, "schedule", True),
        ("emerdiff_ops.files.layout", 3, "nodes.host.unet", False),
        ("emerdiff_ops.kmeans", 0, "comfy", False),
        ("emerdiff_ops.kmeans", 0, "json", True),
    ],
)
def test_the_check_knows_up_from_down(module, level, name, may):
    assert allowed(module, level, name) == may


def test_there_are_files_on_every_floor():
    assert {floor_of(module_of(path)) for path in PACK_FILES} == set(FLOORS)


def test_imports_run_down_only():
    every = [(module_of(path), *found) for path in PACK_FILES for found in imports(path.read_text())]
    assert [found for found in every if not allowed(*found)] == []


def test_the_pack_itself_imports_without_comfyui():
    tree = ast.parse((PACK / "__init__.py").read_text())
    assert not [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def test_python_files_are_ascii():
    assert [path for path in python_files() if not path.read_bytes().isascii()] == []
