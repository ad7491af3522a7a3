"""Select Segments over HTTP: what it sends to the browser, and what runs after it."""

import io

import numpy as np
import pytest
from PIL import Image
from server_client import SEGMENTS

from comfyui.workflow import add


@pytest.fixture
def run(client, segmented):
    """Outputs of Select and of a PreviewImage behind it, and the lines of text shown."""

    def run(selection):
        prompt, texts = {}, []
        load = add(prompt, "EmerDiffLoad", file_name=segmented[2])
        others = {"positive_points": "", "negative_points": "", "invert": False}
        select = add(prompt, "EmerDiffSelectSegments", segmentation=[load, 0], selection=selection, **others)
        shown = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[select, 0]), 0])
        outputs = client.run(prompt, on_text=lambda node, text: texts.append((node, text)))
        return outputs[select], outputs.get(shown), [text for node, text in texts if node == select]

    return run


def labels_of(client, entry: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(client.server.fetch(entry["labels"]))))[..., 0] >> 3


def test_nothing_selected_shows_the_picture_and_runs_nothing_behind_it(client, run):
    sent, shown, texts = run("")
    assert shown is None
    assert sent["images"] and len(sent["emerdiff_segments"]) == 1
    assert "click segments" in sent["text"][0] and sent["text"] == texts


def test_the_label_map_sent_is_the_mask_that_comes_out(client, run):
    sent, shown, texts = run("2")
    (entry,) = sent["emerdiff_segments"]
    assert len(entry["areas"]) == len(entry["colors"]) == SEGMENTS and not texts
    assert ((labels_of(client, entry) == 2) == (client.pixels(shown)[0, ..., 0] > 0)).all()


def test_an_old_fingerprint_is_said_on_the_node_and_the_run_goes_on(run):
    sent, shown, texts = run(f"1, {SEGMENTS}-99 @00000000")
    assert shown and "has changed" in texts[0] and sent["text"] == texts
