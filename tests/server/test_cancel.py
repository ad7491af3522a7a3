"""Cancel in the middle of the modulation: the server goes on as if that run had never been."""

import numpy as np
import pytest
from PIL import Image
from server_client import PIXELS, paint

from comfyui.server import Interrupted
from comfyui.workflow import SEGMENT, find


def copy_of_the_picture(client, name: str) -> str:
    """The same pixels under another name, which the server's cache does not know."""
    return client.put_image(name, Image.fromarray(PIXELS))


def masks_and_sample(client, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the bundled workflow, and a picture that the same MODEL paints over it with the host's sampler."""
    prompt = client.workflow(SEGMENT, copy_of_the_picture(client, name))
    model, image = find(prompt, "EmerDiffLabSmallModel"), find(prompt, "LoadImage")
    shown = paint(prompt, model, image)
    outputs = client.run(prompt)
    return client.masks(prompt, outputs), client.pixels(outputs[shown])


def test_a_cancelled_run_leaves_nothing_behind(client):
    masks, sample = masks_and_sample(client, "before.png")
    steps = []

    def cancel(node, value, maximum):
        steps.append(value / maximum)
        if node == "EmerDiffSegmentImage" and 0.2 < value / maximum < 1:
            client.server.interrupt()

    prompt = client.workflow(SEGMENT, copy_of_the_picture(client, "cancelled.png"), seed=1, preset="paper")
    with pytest.raises(Interrupted, match="EmerDiff"):
        client.run(prompt, cancel)
    assert steps[-1] < 0.8, "the run went on after Cancel"
    masks_again, sample_again = masks_and_sample(client, "after.png")
    assert (masks_again == masks).all()
    assert (sample_again == sample).all()
