"""A real ComfyUI over HTTP, started once: the one EMERDIFF_HOST names, or the newest that the set-up made."""

import sys
from pathlib import Path

import pytest
from PIL import Image

# Last, so that nothing of ComfyUI's or of the other tests is hidden.
sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))

from server_client import PIXELS, Client

from host_server import HostServer, default_host, interrupt_on_termination
from workflow import SEGMENT, add, find


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def client():
    interrupt_on_termination()
    with HostServer(default_host()) as server:
        yield Client(server)


@pytest.fixture(scope="session")
def picture(client):
    """The name of a held-out scene in the input folder."""
    return client.put_image("scene.png", Image.fromarray(PIXELS))


@pytest.fixture(scope="session")
def segmented(client, picture):
    """(prompt, outputs, file name of the saved segmentation) of the bundled one-node workflow, six segments."""
    prompt = client.workflow(SEGMENT, picture)
    save = add(prompt, "EmerDiffSave", value=[find(prompt, "EmerDiffSegmentImage"), 1], filename_prefix="segmented/one")
    outputs = client.run(prompt)
    return prompt, outputs, client.saved("segmented", outputs[save])
