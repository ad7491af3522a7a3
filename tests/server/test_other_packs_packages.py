"""Packs that put top-level packages `nodes`, `emerdiff_ops` and `lab` of their own onto sys.path: one is loaded before
ours, one after."""

import json

import pytest
from PIL import Image
from server_client import PIXELS, Client

from comfyui.server import HostServer, device_flags
from comfyui.workflow import SEGMENT, add, find

NAMES = ("nodes", "emerdiff_ops", "lab")
PACK = """
import importlib
import os
import sys

OURS_WAS_THERE = any(name.endswith("ComfyUI-EmerDiff") for name in sys.modules)
sys.path.insert(0, os.path.dirname(__file__))
hosts_own = sys.modules["nodes"]
for name in [name for name in sys.modules if name.split(".")[0] in NAMES]:
    del sys.modules[name]
OWNERS = [importlib.import_module(f"{name}.host").OWNER for name in NAMES]
sys.modules["nodes"] = hosts_own


class Node:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "other", "run", ("IMAGE",), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        return {"ui": {"owners": OWNERS, "ours_was_there": [OURS_WAS_THERE]}, "result": (image,)}


NODE_CLASS_MAPPINGS = {CLASS: Node}
"""
ORDERS = ("before", "after")


def write_pack(order, folder):
    """A pack with the node `Other-ORDER`, and with modules of its own under the names of ours."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f"NAMES, CLASS = {NAMES!r}, 'Other-{order}'\n{PACK}")
    for name in NAMES:
        (folder / name).mkdir()
        for file in ("__init__.py", "host.py", "steps.py", "schedule.py"):
            (folder / name / file).write_text(f"OWNER = {order!r}\n")


@pytest.fixture
def crowded(tmp_path):
    """A client of a ComfyUI with both packs around ours. Only across folders of packs does ComfyUI keep an order."""
    for order in ORDERS:
        write_pack(order, tmp_path / order / f"other_{order}")
    folders = {
        order: {"base_path": str(tmp_path), "custom_nodes": order, "is_default": order == "before"} for order in ORDERS
    }
    (tmp_path / "folders.yaml").write_text(json.dumps(folders))
    flags = (*device_flags(), "--extra-model-paths-config", str(tmp_path / "folders.yaml"))
    with HostServer(flags=flags) as server:
        yield Client(server)


def test_three_packs_load_and_run_each_with_its_own_packages(crowded):
    picture = crowded.put_image("scene.png", Image.fromarray(PIXELS))
    prompt = crowded.workflow(SEGMENT, picture, segments=2, preset="fast")
    before = add(prompt, "Other-before", image=[find(prompt, "LoadImage"), 0])
    after = add(prompt, "Other-after", image=[before, 0])
    prompt[find(prompt, "EmerDiffSegmentImage")]["inputs"]["image"] = [after, 0]
    outputs = crowded.run(prompt)
    assert outputs[before] == {"owners": ["before"] * len(NAMES), "ours_was_there": [False]}
    assert outputs[after] == {"owners": ["after"] * len(NAMES), "ours_was_there": [True]}
    masks = crowded.masks(prompt, outputs)
    assert masks.shape == (2, *PIXELS.shape[:2])
    assert set(masks.flat) == {0, 255} and (masks == 255).sum(0).all()
