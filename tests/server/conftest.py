"""A real ComfyUI over HTTP, started once: the one EMERDIFF_HOST names, or the newest that the set-up made."""

from pathlib import Path

import pytest
from PIL import Image
from server_client import PIXELS, Client

from comfyui.server import PACKS, HostServer, interrupt_on_termination
from comfyui.workflow import SEGMENT, add, find

# Nodes of the tests: a text that a test has written, of a model whose CLIP is not there; a family of transformers,
# small and with random weights, of which it has the class, the latents and the tokenizer: its model, its empty prompt,
# its VAE and its CLIP.
TEST_PACK = f"""
import sys
from importlib import import_module

import folder_paths
import torch

HOST_TESTS = {str(Path(__file__).resolve().parents[1] / "host")!r}

class Family:
    INPUT_TYPES = classmethod(lambda cls: {{"required": {{"name": ("STRING", {{}}), "tokenizer": ("STRING", {{}})}}}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL", "CONDITIONING", "VAE", "CLIP"), "load", "test"

    def load(self, name, tokenizer):
        sys.path.append(HOST_TESTS)
        from transformer_layouts import LAYOUTS, Words
        layout, (module, kind) = LAYOUTS[name], tokenizer.split(".")
        model, clip = layout.load(), Words(layout, getattr(import_module("comfy.text_encoders." + module), kind)())
        config = model.model.model_config
        config.__class__ = type("Small", (type(config),), {{"own_pixels": 256}})
        return model, clip.encode_from_tokens_scheduled(clip.tokenize("")), layout.vae(), clip

class Text:
    INPUT_TYPES = classmethod(lambda cls: {{"required": {{"name": ("STRING", {{}})}}}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "text", "test"

    def text(self, name):
        return (torch.load(folder_paths.get_annotated_filepath(name), weights_only=True),)

NODE_CLASS_MAPPINGS = {{"TestText": Text, "TestFamily": Family}}
"""


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    interrupt_on_termination()
    folder = tmp_path_factory.mktemp("packs") / "test_nodes"
    folder.mkdir()
    (folder / "__init__.py").write_text(TEST_PACK)
    with HostServer(packs={**PACKS, "test_nodes": folder}) as server:
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
