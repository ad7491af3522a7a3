"""lab/comfyui/workflow.py turns a saved workflow into what the front end would queue."""

import pytest

from comfyui.workflow import replace_loaders, to_prompt, with_text
from show.on_photographs import SMALL_SD


def node(key, kind, inputs=(), outputs=(), values=(), mode=0):
    """A node of a saved workflow; inputs are (name, type, link)."""
    slots = [{"name": name, "type": what, "link": link} for name, what, link in inputs]
    sockets = [{"name": what, "type": what} for what in outputs]
    return {"id": key, "type": kind, "mode": mode, "inputs": slots, "outputs": sockets, "widgets_values": list(values)}


def test_virtual_bypassed_and_muted_nodes(client):
    """A reroute, a bypassed and a muted node, a primitive and a note; checked once against the front end itself."""
    workflow = {
        "nodes": [
            node(1, "LoadImage", outputs=["IMAGE", "MASK"], values=["example.png", "image"]),
            node(2, "Reroute", [("", "*", 1)], ["IMAGE"]),
            node(3, "ImageScaleBy", [("image", "IMAGE", 2)], ["IMAGE"], ["nearest-exact", 1.0], mode=4),
            node(4, "ImageInvert", [("image", "IMAGE", 3)], ["IMAGE"]),
            node(5, "MaskToImage", [("mask", "MASK", 4)], ["IMAGE"], mode=2),
            node(6, "PreviewImage", [("images", "IMAGE", 5)]),
            node(7, "PrimitiveNode", outputs=["INT"], values=[17, "fixed"]),
            node(8, "EmerDiffExtractFeatures", [("image", "IMAGE", 6), ("resolution", "INT", 7)], [],
                 [5, "fixed", 256, 40]),
            node(9, "Note", values=["read me"]),
        ],
        "links": [
            [1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"], [4, 1, 1, 5, 0, "MASK"],
            [5, 5, 0, 6, 0, "IMAGE"], [6, 2, 0, 8, 0, "IMAGE"], [7, 7, 0, 8, 1, "INT"],
        ],
    }  # fmt: skip
    assert to_prompt(workflow, client.info) == {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "4": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "6": {"class_type": "PreviewImage", "inputs": {}},
        "8": {
            "class_type": "EmerDiffExtractFeatures",
            "inputs": {
                "seed": 5, "resolution": 17, "steps": 40, "feature_timestep": 0, "feature_layer": "auto",
                "surroundings": 0.25, "mirrored": True, "dense": False, "enlarge": True, "attention": False,
                "image": ["1", 0],
            },
        },
    }  # fmt: skip


def test_small_model_takes_the_place_of_a_checkpoint():
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
        "4": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["3", 0], "negative": ["2", 0]}},
    }
    assert replace_loaders(with_text(prompt, "disc star")) == {
        "1": {"class_type": "EmerDiffLabSmallModel", "inputs": {}},
        "3": {"class_type": "EmerDiffLabPrompt", "inputs": {"text": "disc star"}},
        "4": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["3", 0], "negative": ["1", 1]}},
    }


def test_another_model_of_the_lab_may_stand_in_for_a_checkpoint():
    prompt = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}}}
    assert replace_loaders(prompt, SMALL_SD) == {"1": {"class_type": SMALL_SD, "inputs": {}}}


@pytest.mark.parametrize("encoders", ["CLIPLoader", "DualCLIPLoader"])
def test_the_small_flux_takes_the_place_of_a_transformer_in_several_files(encoders):
    """Its LoRA goes too; a text that is not empty is read by its own CLIP."""
    given = {"model": ["1", 0], "vae": ["3", 0], "conditioning": ["4", 0]}
    prompt = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "a.safetensors", "weight_dtype": "default"}},
        "2": {"class_type": encoders, "inputs": {"type": "flux"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "c.safetensors"}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["2", 0]}},
        "5": {"class_type": "EmerDiffSegmentImage", "inputs": given},
        "6": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0], "lora_name": "d.safetensors"}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "star", "clip": ["2", 0]}},
        "8": {"class_type": "KSampler", "inputs": {"model": ["6", 0], "positive": ["7", 0]}},
    }
    taken = {"model": ["1", 0], "vae": ["1", 2], "conditioning": ["1", 1]}
    assert replace_loaders(prompt) == {
        "1": {"class_type": "EmerDiffLabSmallFlux", "inputs": {}},
        "5": {"class_type": "EmerDiffSegmentImage", "inputs": taken},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "star", "clip": ["1", 3]}},
        "8": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["7", 0]}},
    }


def test_the_checkpoints_clip_becomes_the_small_models():
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "3": {"class_type": "EmerDiffSelectByText", "inputs": {"text": "dog", "clip": ["1", 1], "vae": ["1", 2]}},
        "4": {"class_type": "EmerDiffSegmentImage", "inputs": {"conditioning": ["2", 0]}},
    }
    replaced = replace_loaders(prompt)
    assert replaced["3"]["inputs"] == {"text": "dog", "clip": ["1", 3], "vae": ["1", 2]}
    assert replaced["4"]["inputs"] == {"conditioning": ["1", 1]}
