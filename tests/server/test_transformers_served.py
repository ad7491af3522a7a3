"""Drafts with transformers on a server: their files loaded by the host's own nodes, segmented, pointed at, refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from server_client import PIXELS

from comfyui.in_process import start_host

sys.path.append(str(Path(__file__).resolve().parents[1] / "host"))  # the small transformers

SIZE, SEGMENTS = (118, 128), 3  # of the picture: no whole number of tokens
# Attention with the host's options, and without; a VAE of pictures, and one of videos.
FAMILIES = ("SD3.5 medium", "Flux.1 dev", "Krea 2", "Hunyuan-DiT")


@pytest.fixture(scope="module")
def folders(client):
    """The families' files lie where the server's loaders look for them."""
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


def vae_of(layout) -> dict:
    """Random weights of a small autoencoder that the host has for such latents."""
    from comfy.ldm.wan.vae import WanVAE  # imports comfy
    from comfy.taesd.taesd import TAESD

    from reference.random_weights import random_state

    if layout.latent_axes == 2:
        return random_state(TAESD(latent_channels=layout.latent_channels), 1)
    form = {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]}
    return random_state(WanVAE(dim=8, z_dim=layout.latent_channels, **form), 1)


def loaded(client, name: str) -> tuple[dict, dict]:
    """A prompt that loads a family, and what its nodes give to one that takes a picture."""
    prompt, file = {}, f"{name}.safetensors"
    nodes = {
        "model": client.add(prompt, "UNETLoader", unet_name=file, weight_dtype="default"),
        "vae": client.add(prompt, "VAELoader", vae_name=file),
        "conditioning": client.add(prompt, "TestText", name=f"{name}.text"),
        "image": client.add(prompt, "LoadImage", image="picture.png"),
    }
    return prompt, {what: [node, 0] for what, node in nodes.items()}


def masks_after(client, prompt: dict, node: str) -> np.ndarray:
    images = client.add(prompt, "MaskToImage", mask=[node, 0])
    shown = client.add(prompt, "PreviewImage", images=[images, 0])
    return client.pixels(client.run(prompt)[shown])[..., 0]


@pytest.fixture(params=FAMILIES)
def name(request, client, folders):
    if not (client.server.base / "input" / f"{request.param}.text").exists():
        pytest.skip(f"this ComfyUI has no {request.param}")
    return request.param


def test_a_draft_on_a_server(client, name):
    prompt, given = loaded(client, name)
    draft = client.add(prompt, "EmerDiffSegmentImage", **given, segments=SEGMENTS, preset="draft", seed=0)
    masks = masks_after(client, prompt, draft)
    assert masks.shape == (SEGMENTS, *SIZE)
    assert (masks.astype(int).sum(0) == 255).all(), "the masks cover the picture, each pixel once"
    assert masks.any((1, 2)).sum() > 1, "one segment alone is no draft"


def test_a_thing_pointed_at_on_a_server(client, name):
    prompt, given = loaded(client, name)
    read = client.add(prompt, "EmerDiffExtractFeatures", **given, seed=0, enlarge=False)
    points = {"positive_points": '[{"x": 60, "y": 70}]', "negative_points": '[{"x": 2, "y": 2}]'}
    features, trajectory = ([read, output] for output in range(2))
    wires = {"features": features, "trajectory": trajectory, "image": given["image"]}
    [mask] = masks_after(client, prompt, client.add(prompt, "EmerDiffPickByPoints", **wires, **points))
    assert mask.shape == SIZE and mask[70, 60] == 255 and mask[2, 2] == 0
