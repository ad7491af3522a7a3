"""Bad input over HTTP: the error says what to do instead."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save
from server_client import SEGMENTS

from comfyui.server import WorkflowError
from comfyui.workflow import SEGMENT, STEPS, add, with_inputs

LAST = SEGMENTS - 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"selection": "99"}, f"0-{LAST}"),
        ({"selection": "two"}, "3, 7-9"),
        ({"positive_points": "[{x: 1}]"}, '"x"'),
        ({"positive_points": "1, 2, 3, 4"}, "two meanings"),
        ({"positive_points": '[{"x": 5000, "y": 2}]'}, "0-127"),
        ({"selection": "0", "negative_points": "nonsense"}, '"x"'),
    ],
)
def test_selection_that_cannot_be(client, segmented, inputs, message):
    prompt = {}
    load = add(prompt, "EmerDiffLoad", file_name=segmented[2])
    points = {"selection": "", "positive_points": "", "negative_points": "", "invert": False}
    select = add(prompt, "EmerDiffSelectSegments", segmentation=[load, 0], **(points | inputs))
    add(prompt, "PreviewImage", images=[select, 1])
    with pytest.raises(WorkflowError, match="EmerDiffSelectSegments") as error:
        client.run(prompt)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("foreign.safetensors", save({"weight": np.zeros(3, np.float32)}), "EmerDiffSave"),
        ("text.safetensors", b"not a file of this kind", "not a safetensors file"),
        ("missing.safetensors", None, "missing.safetensors"),
        ("../../user/secret.safetensors", None, "output"),
    ],
    ids=["foreign", "text", "missing", "outside"],
)
def test_file_that_cannot_be_read(client, name, content, message):
    if content is not None:
        client.server.put_input(name, content)
    prompt = {}
    add(prompt, "EmerDiffSave", value=[add(prompt, "EmerDiffLoad", file_name=name), 0], filename_prefix="bad")
    with pytest.raises(WorkflowError) as error:
        client.run(prompt)
    assert message in str(error.value)


def test_truncated_file(client, segmented):
    client.server.put_input("cut.safetensors", client.path(segmented[2]).read_bytes()[:-100])
    prompt = {}
    add(prompt, "EmerDiffSave", value=[add(prompt, "EmerDiffLoad", file_name="cut.safetensors"), 0],
        filename_prefix="bad")  # fmt: skip
    with pytest.raises(WorkflowError, match="cut.safetensors"):
        client.run(prompt)


def test_picture_too_small(client):
    image = client.put_image("tiny.png", Image.new("RGB", (40, 40), "red"))
    with pytest.raises(WorkflowError, match="64"):
        client.run(client.workflow(SEGMENT, image))


def test_more_segments_than_the_grid_has_cells(client):
    image = client.put_image("small.png", Image.new("RGB", (64, 64), "red"))
    with pytest.raises(WorkflowError, match="64"):  # 8 x 8 cells
        client.run(client.workflow(SEGMENT, image, segments=100, preset="paper"))


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        ("EmerDiffExtractFeatures", {"feature_layer": "output 99"}, "output"),
        ("EmerDiffModulateAttention", {"modulation_layer": "attic 1"}, "output"),
        ("EmerDiffClusterFeatures", {"segments": 257}, "segments"),
        ("EmerDiffModulateAttention", {"modulation_timestep": 5000}, "modulation_timestep"),
        ("EmerDiffModulateAttention", {"preset": "best"}, "choose one of paper, balanced, fast, draft"),
    ],
)
def test_setting_that_cannot_be(client, picture, node, inputs, message):
    with pytest.raises(WorkflowError, match=node) as error:
        client.run(with_inputs(client.workflow(STEPS, picture), node, **inputs))
    assert message in str(error.value)


def test_the_server_still_works(client, segmented):
    """After all of the above."""
    prompt = {}
    load = add(prompt, "EmerDiffLoad", file_name=segmented[2])
    add(prompt, "EmerDiffSave", value=[load, 0], filename_prefix="good")
    assert client.run(prompt)
    assert json.loads(client.get("/queue")) == {"queue_running": [], "queue_pending": []}
