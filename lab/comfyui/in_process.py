"""ComfyUI's modules and the pack in this process: for scripts and tests that need no server."""

import importlib.util
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def start_host() -> None:
    """Make `comfy` importable and settle its device: the CPU where there is no CUDA device."""
    if importlib.util.find_spec("comfy") is None:
        sys.path.insert(0, str(host_path()))
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = not torch.cuda.is_available()


def host_path() -> Path:
    """The ComfyUI to import: EMERDIFF_HOST, or the newest that the set-up made."""
    if "EMERDIFF_HOST" in os.environ:
        return Path(os.environ["EMERDIFF_HOST"])
    return max((REPOSITORY / ".host").glob("ComfyUI-*"), key=lambda path: [int(n) for n in path.name[8:].split(".")])


def load_pack(folder: Path = REPOSITORY):
    """Import the pack under the alias `emerdiff`, its root never on sys.path (it would hide ComfyUI's `nodes`)."""
    if "emerdiff" in sys.modules:
        return sys.modules["emerdiff"]
    spec = importlib.util.spec_from_file_location(
        "emerdiff", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None  # a file of Python has both
    sys.modules["emerdiff"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["emerdiff"])
    return sys.modules["emerdiff"]


def execute(node, **inputs):
    """A node's output for one value an input, as the host has it: nodes that take lists get and give lists of one."""
    schema = node.define_schema()
    if not schema.is_input_list:
        return node.execute(**inputs)
    output = node.execute(**{name: [value] for name, value in inputs.items()})
    if output.expand is not None:
        return output  # its results are links to the nodes that it expands into
    each = zip(output.result, schema.outputs)
    return type(output)(*(value[0] if one.is_output_list else value for value, one in each), ui=output.ui)
