"""Who may import what: the mathematics know no ComfyUI, and only nodes/host.py touches its internals."""

import ast
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pure

PACK = Path(__file__).resolve().parents[2]
OPS_MAY = {"torch", "einops", "numpy", "safetensors", "scipy", "PIL"}
NODES_MAY = {"PIL", "torch", "comfy_api.latest"}
HOST_MAY = {"comfy", "comfy_execution", "folder_paths", "latent_preview", "node_helpers"}  # nodes/host.py alone


def imports(source: str) -> list[tuple[int, str]]:
    """(level, module) of every import at any depth; level 0 is absolute. `from . import x` names ".x" as (1, "x")."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module)] if node.module else [(node.level, alias.name) for alias in node.names]
    return found


def allowed(level: int, module: str, absolute: set[str], relative: dict[int, set[str] | None]) -> bool:
    """`relative` gives, for each level of dots, the first names that may follow; None for any."""
    top = module.split(".")[0]
    if level:
        return level in relative and (relative[level] is None or top in relative[level])
    return top in sys.stdlib_module_names or top in absolute or module in absolute


def pack_files(folder: str) -> list[Path]:
    return sorted((PACK / folder).rglob("*.py"))


def python_files() -> list[Path]:
    """Every Python file of the repository; environments and hosts lie in hidden folders."""
    folders = [path for path in PACK.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(PACK.glob("*.py")) + sorted(path for folder in folders for path in folder.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(PACK))


def test_the_check_sees_imports_of_every_form():
    source = (
        "import comfy.utils as u\ndef f():\n    from comfy import x\n    from . import a, b\n    from ..ops.k import c"
    )
    assert imports(source) == [(0, "comfy.utils"), (0, "comfy"), (1, "a"), (1, "b"), (2, "ops.k")]
    assert not allowed(0, "comfy.utils", NODES_MAY, {}) and not allowed(0, "comfy_api.v0", NODES_MAY, {})
    assert allowed(0, "comfy_api.latest", NODES_MAY, {}) and allowed(0, "json", set(), {})
    assert not allowed(2, "nodes.host", OPS_MAY, {1: None}) and allowed(1, "labels", OPS_MAY, {1: None})


def test_there_are_files_to_check():
    assert {"kmeans.py", "labels.py", "files.py"} <= {path.name for path in pack_files("emerdiff_ops")}
    assert {"host.py", "types.py"} <= {path.name for path in pack_files("nodes")}


@pytest.mark.parametrize("path", pack_files("emerdiff_ops"), ids=named)
def test_the_mathematics_import_only_what_they_may(path):
    bad = [found for found in imports(path.read_text()) if not allowed(*found, OPS_MAY, {1: None})]
    assert not bad


@pytest.mark.parametrize("path", pack_files("nodes"), ids=named)
def test_nodes_import_only_what_they_may(path):
    may = NODES_MAY | HOST_MAY if path.name == "host.py" else NODES_MAY
    bad = [found for found in imports(path.read_text()) if not allowed(*found, may, {1: None, 2: {"emerdiff_ops"}})]
    assert not bad


def test_the_pack_itself_imports_without_comfyui():
    tree = ast.parse((PACK / "__init__.py").read_text())
    assert not [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("path", python_files(), ids=named)
def test_python_files_are_ascii(path):
    assert path.read_bytes().isascii()
