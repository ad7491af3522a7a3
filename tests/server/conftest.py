"""A real ComfyUI over HTTP, started once: the one EMERDIFF_HOST names, or the newest that the set-up made."""

import pytest
from PIL import Image
from server_client import PIXELS, Client

from comfyui.server import HostServer, default_host, interrupt_on_termination
from comfyui.workflow import SEGMENT, add, find


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
