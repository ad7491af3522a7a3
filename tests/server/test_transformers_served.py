"""Drafts with transformers on a server: their files loaded by the host's own nodes, segmented, pointed at, refused."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from server_client import PIXELS

from comfyui.in_process import start_host
from comfyui.server import HostServer

sys.path.append(str(Path(__file__).resolve().parents[1] / "host"))  # the small transformers

SIZE, SEGMENTS = (118, 128), 3  # of the picture: no whole number of tokens
# Attention with the host's options, and without; a VAE of pictures, and one of videos.
FAMILIES = ("SD3.5 medium", "Flux.1 dev", "Krea 2", "Hunyuan-DiT")


@pytest.fixture(scope="module")
def server(client):
    """The server, with the families' files where its loaders look for them."""
    start_host()
    from transformer_layouts import LAYOUTS  # imports comfy

    models = client.server.base / "models"
    for kind in ("diffusion_models", "vae"):
        (models / kind).mkdir(exist_ok=True)
    for name in filter(lambda name: LAYOUTS[name].known, FAMILIES):
        layout = LAYOUTS[name]
        save_file(layout.state(), models / "diffusion_models" / f"{name}.safetensors")
        save_file(vae_of(layout), models / "vae" / f"{name}.safetensors")
        torch.save(layout.conditioning(), client.server.base / "input" / f"{name}.text")
    client.put_image("picture.png", Image.fromarray(PIXELS[: SIZE[0], : SIZE[1]]))
    return client.server


def vae_of(layout) -> dict:
    """Random weights of a small autoencoder that the host has for such latents."""
    from comfy.ldm.wan.vae import WanVAE  # imports comfy
    from comfy.taesd.taesd import TAESD

    from reference.random_weights import random_state

    if layout.latent_axes == 2:
        return random_state(TAESD(latent_channels=layout.latent_channels), 1)
    form = {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]}
    return random_state(WanVAE(dim=8, z_dim=layout.latent_channels, **form), 1)


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def loaders(name: str) -> tuple[dict, dict]:
    """The nodes that load a family, and what they give to a node that takes a picture."""
    prompt = {
        "1": node("UNETLoader", unet_name=f"{name}.safetensors", weight_dtype="default"),
        "2": node("VAELoader", vae_name=f"{name}.safetensors"),
        "3": node("TestText", name=f"{name}.text"),
        "4": node("LoadImage", image="picture.png"),
    }
    return prompt, {"model": ["1", 0], "vae": ["2", 0], "conditioning": ["3", 0], "image": ["4", 0]}


def segmented(name: str, preset: str) -> dict:
    prompt, given = loaders(name)
    prompt["5"] = node("EmerDiffSegmentImage", **given, segments=SEGMENTS, preset=preset, seed=0)
    return prompt | shown(["5", 0])


def shown(masks: list) -> dict:
    return {"8": node("MaskToImage", mask=masks), "9": node("PreviewImage", images=["8", 0])}


def masks_of(server: HostServer, outputs: dict) -> np.ndarray:
    files = [server.fetch(file) for file in outputs["9"]["images"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("L")) for file in files])


@pytest.fixture(params=FAMILIES)
def name(request, server):
    if not (server.base / "input" / f"{request.param}.text").exists():
        pytest.skip(f"this ComfyUI has no {request.param}")
    return request.param


def test_a_draft_on_a_server(server, name):
    masks = masks_of(server, server.run(segmented(name, "draft")))
    assert masks.shape == (SEGMENTS, *SIZE)
    assert (masks.astype(int).sum(0) == 255).all(), "the masks cover the picture, each pixel once"
    assert masks.any((1, 2)).sum() > 1, "one segment alone is no draft"


def test_a_thing_pointed_at_on_a_server(server, name):
    prompt, given = loaders(name)
    reading = {
        "feature_layer": "auto",
        "feature_timestep": 0,
        "seed": 0,
        "resolution": 0,
        "steps": 50,
        "enlarge": False,
    }
    prompt["5"] = node("EmerDiffExtractFeatures", **given, **reading)
    points = {"positive_points": '[{"x": 60, "y": 70}]', "negative_points": '[{"x": 2, "y": 2}]'}
    prompt["6"] = node("EmerDiffPickByPoints", features=["5", 0], trajectory=["5", 1], image=given["image"], **points)
    [mask] = masks_of(server, server.run(prompt | shown(["6", 0])))
    assert mask.shape == SIZE and mask[70, 60] == 255 and mask[2, 2] == 0
