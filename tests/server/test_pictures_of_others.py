"""Someone else's workflow: the same picture to the last bit with the pack as without it, whatever our nodes did."""

import numpy as np
import pytest
from PIL import Image
from server_client import PIXELS, Client, paint

from comfyui.server import PACKS, HostServer, Interrupted, WorkflowError, default_host
from comfyui.workflow import SEGMENT, add


def painted(client, name: str) -> np.ndarray:
    """A picture that the model paints over the scene; `name` is new, so that the server's cache does not know it."""
    prompt = {}
    model, image = add(prompt, "EmerDiffLabSmallModel"), add(prompt, "LoadImage", image=client.put_image(name, SCENE))
    shown = paint(prompt, model, image, cfg=2.0, sampler_name="dpmpp_2m", denoise=0.7)
    return client.pixels(client.run(prompt)[shown])


SCENE = Image.fromarray(PIXELS)


@pytest.fixture(scope="module")
def without_the_pack():
    """The picture of a server that has the lab's model, and not the pack."""
    with HostServer(default_host(), packs={name: PACKS[name] for name in ("emerdiff_small_model",)}) as server:
        bare = Client(server)
        assert not [name for name, node in bare.info.items() if node["python_module"].endswith("ComfyUI-EmerDiff")]
        return painted(bare, "bare.png")


def test_pictures_are_the_same_with_the_pack(client, without_the_pack):
    assert (painted(client, "with_1.png") == without_the_pack).all()


def test_pictures_are_the_same_after_a_run(client, without_the_pack):
    client.run(client.workflow(SEGMENT, client.put_image("with_2.png", SCENE), preset="fast"))
    assert (painted(client, "with_3.png") == without_the_pack).all()


def test_pictures_are_the_same_after_a_failure(client, without_the_pack):
    small = client.put_image("with_4.png", SCENE.resize((64, 64)))
    with pytest.raises(WorkflowError, match="64"):
        client.run(client.workflow(SEGMENT, small, segments=100, preset="paper"))
    assert (painted(client, "with_5.png") == without_the_pack).all()


def test_pictures_are_the_same_after_a_cancel(client, without_the_pack):
    def cancel(node, value, maximum):
        if node == "EmerDiffSegmentImage" and 0.3 < value / maximum < 1:
            client.server.interrupt()

    prompt = client.workflow(SEGMENT, client.put_image("with_6.png", SCENE), seed=5, preset="paper")
    with pytest.raises(Interrupted):
        client.run(prompt, cancel)
    assert (painted(client, "with_7.png") == without_the_pack).all()
