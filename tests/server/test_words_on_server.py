"""Selecting by text in a real ComfyUI, with the small model and its words."""

import numpy as np
import pytest
from server_client import PIXELS, SCENE

from comfyui.server import WorkflowError
from comfyui.workflow import SEGMENT, add, find, replace_loaders

OBJECTS = SCENE.words[2:]


@pytest.fixture(scope="module")
def by_text(client, picture):
    """A prompt for a text, on the bundled one-node workflow: (prompt, selecting node, node that shows the masks)."""

    def build(text, **inputs):
        prompt = client.workflow(SEGMENT, picture, segments=8, preset="fast")
        model, image = find(prompt, "EmerDiffLabSmallModel"), find(prompt, "LoadImage")
        links = {"segmentation": [find(prompt, "EmerDiffSegmentImage"), 1], "image": [image, 0]}
        links |= {"model": [model, 0], "vae": [model, 2], "clip": [model, 3]}
        values = {"text": text, "count": 1, "threshold": 0.0, "seed": 0, "by": "both"} | inputs
        select = add(prompt, "EmerDiffSelectByText", **links, **values)
        shown = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[select, 0]), 0])
        return prompt, select, shown

    return build


def test_every_phrase_gives_a_mask_and_an_overlay(client, by_text):
    prompt, select, shown = by_text(", ".join(OBJECTS))
    outputs = client.run(prompt)
    masks = client.pixels(outputs[shown])[..., 0]
    assert masks.shape == (len(OBJECTS), *SCENE.labels.shape)
    assert set(np.unique(masks)) == {0, 255} and (masks > 0).any((1, 2)).all()
    overlays = client.pixels(outputs[select])
    assert overlays.shape == (len(OBJECTS), *PIXELS.shape)


@pytest.mark.parametrize(("text", "message"), [("", "type what to look for"), ("zebra", "knows only the words")])
def test_a_text_that_cannot_be(client, by_text, text, message):
    with pytest.raises(WorkflowError, match="EmerDiffSelectByText") as error:
        client.run(by_text(text)[0])
    assert message in str(error.value)


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
