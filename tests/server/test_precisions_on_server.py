"""A checkpoint on servers that were started to save memory, and a segmentation with it."""

import io

import numpy as np
import pytest
from PIL import Image
from server_client import PIXELS

from comfyui.in_process import start_host
from comfyui.server import PACKS, HostServer, default_host

SIDE, SEGMENTS = 64, 2
# On a processor the host computes in fp32 whatever the weights are stored in; it takes no --lowvram or --novram there.
STORED = {"--fp16-unet": "torch.float16", "--fp8_e4m3fn-unet": "torch.float8_e4m3fn"}
TEXT_PACK = """
import torch

class Text:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "text", "test"

    def text(self):
        return ([[torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(5)), {}]],)

NODE_CLASS_MAPPINGS = {"TestText": Text}
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small checkpoint of SD1.x's layout, random weights; its text comes from a node of the test's."""
    start_host()
    from reference.sd1_checkpoint import write_sd1_checkpoint  # imports comfy

    return write_sd1_checkpoint(tmp_path_factory.mktemp("checkpoints") / "sd1.safetensors")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs") / "test_text"
    folder.mkdir()
    (folder / "__init__.py").write_text(TEXT_PACK)
    return {**PACKS, "test_text": folder}


@pytest.mark.parametrize("flag", STORED)
def test_segmentation_with_weights_in_little_memory(checkpoint, packs, flag):
    with HostServer(default_host(), flags=("--cpu", flag), packs=packs) as server:
        picture = io.BytesIO()
        Image.fromarray(PIXELS[:SIDE, :SIDE]).save(picture, "png")
        server.put_input("picture.png", picture.getvalue())
        outputs = server.run(prompt(server.link_checkpoint(checkpoint)))
        files = [server.fetch(file) for file in outputs["6"]["images"]]
        log = server.log.read_text(errors="replace")
    masks = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("L")) for file in files])
    assert f"model weight dtype {STORED[flag]}, manual cast: torch.float32" in log
    assert masks.shape == (SEGMENTS, SIDE, SIDE)
    assert (masks.astype(int).sum(0) == 255).all(), "the masks cover the picture, each pixel once"


def prompt(checkpoint_name: str) -> dict:
    segment = {"model": ["1", 0], "vae": ["1", 2], "conditioning": ["2", 0], "image": ["3", 0]}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=checkpoint_name),
        "2": node("TestText"),
        "3": node("LoadImage", image="picture.png"),
        "4": node("EmerDiffSegmentImage", **segment, segments=SEGMENTS, preset="fast", seed=0),
        "5": node("MaskToImage", mask=["4", 0]),
        "6": node("PreviewImage", images=["5", 0]),
    }


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}
