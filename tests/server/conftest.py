"""A real ComfyUI over HTTP, started once: the one EMERDIFF_HOST names, or the newest that the set-up made."""

import pytest
from PIL import Image
from server_client import PIXELS, Client

from comfyui.server import PACKS, HostServer, default_host, interrupt_on_termination
from comfyui.workflow import SEGMENT, add, find

# A node that gives the text which a test has written: that of a model whose CLIP is not there.
TEXT_PACK = """
import folder_paths
import torch

class Text:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"name": ("STRING", {})}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "text", "test"

    def text(self, name):
        return (torch.load(folder_paths.get_annotated_filepath(name), weights_only=True),)

NODE_CLASS_MAPPINGS = {"TestText": Text}
"""


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    interrupt_on_termination()
    folder = tmp_path_factory.mktemp("packs") / "test_text"
    folder.mkdir()
    (folder / "__init__.py").write_text(TEXT_PACK)
    with HostServer(default_host(), packs={**PACKS, "test_text": folder}) as server:
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
