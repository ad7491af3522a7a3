"""Loads the pack as the package `emerdiff`, much as ComfyUI loads it: from its folder, by an alias.

The pack's folder must not come onto sys.path: `import nodes` would then find the pack's nodes, not ComfyUI's.
"""

import gc
import sys
from pathlib import Path

import hypothesis
import pytest

# Last, so that nothing of ComfyUI's is hidden.
sys.path.append(str(Path(__file__).resolve().parents[1] / "lab"))

from comfyui.in_process import load_pack

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("repeatable")

load_pack()


@pytest.hookimpl(tryfirst=True)  # before pytest drops what the markers do not ask for
def pytest_collection_modifyitems(items):
    """A test's tier is the folder it lies in."""
    for item in items:
        item.add_marker(item.path.relative_to(Path(__file__).parent).parts[0])


def pytest_collection_finish():
    """What is imported stays: else each full collection of garbage looks through half a million objects of it."""
    gc.freeze()
