"""A real ComfyUI in this process: on the CPU unless a CUDA device is there, its folders in a temporary place."""

from functools import partial

import pytest
import torch

from comfyui.in_process import start_host

start_host()

import comfy.sd
import folder_paths
from comparing import smooth_picture
from emerdiff.nodes.steps.values import Source
from segmented_folders import run

from reference.sd1_checkpoint import write_sd1_checkpoint
from small_model.model import load


@pytest.fixture(autouse=True)
def inference_mode():
    """As the host runs its nodes."""
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for kind in ("input", "output", "temp"):
        (tmp_path / kind).mkdir()
        monkeypatch.setattr(folder_paths, f"{kind}_directory", str(tmp_path / kind))
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """Of pictures, for the command `segment`."""
    made = tmp_path / "pictures"
    made.mkdir()
    return made


@pytest.fixture
def output(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def segment(folder, output, monkeypatch):
    """The command `segment` in this process: its exit code."""
    return partial(run, monkeypatch, folder, output)


@pytest.fixture(scope="session")
def sd1_checkpoint(tmp_path_factory):
    """A checkpoint of SD1.x's layout with random weights."""
    return write_sd1_checkpoint(tmp_path_factory.mktemp("checkpoints") / "sd1.safetensors")


@pytest.fixture(scope="session")
def sd1(sd1_checkpoint):
    """(MODEL, VAE, CONDITIONING) of the random SD1.x checkpoint, loaded by the host's own loader."""
    model, _, vae, *_ = comfy.sd.load_checkpoint_guess_config(str(sd1_checkpoint), output_vae=True, output_clip=False)
    context = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(5))
    return Source(model, vae, [[context, {}]])


@pytest.fixture(scope="session")
def small():
    """(MODEL, VAE, CONDITIONING) of the small trained model, and its empty prompt."""
    return Source(*load())


@pytest.fixture(scope="session")
def photo():
    return smooth_picture(128, 128)
