"""lab/comfyui/workflow.py puts the small models in the place of those that a prompt names."""

import pytest

from comfyui.workflow import replace_loaders, with_text
from show.on_photographs import SMALL_SD


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
