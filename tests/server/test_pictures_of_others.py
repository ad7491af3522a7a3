"""Someone else's workflow: the same picture to the last bit with the pack as without it, whatever our nodes did."""

import numpy as np
import pytest
from PIL import Image
from server_client import PIXELS, Client, paint

from comfyui.server import PACKS, HostServer, Interrupted, WorkflowError
from comfyui.workflow import SEGMENT, add

SCENE = Image.fromarray(PIXELS)


def painted(client, name: str) -> np.ndarray:
    """A picture that the model paints over the scene; `name` is new, so that the server's cache does not know it."""
    prompt = {}
    model, image = add(prompt, "EmerDiffLabSmallModel"), add(prompt, "LoadImage", image=client.put_image(name, SCENE))
    shown = paint(prompt, model, image, cfg=2.0, sampler_name="dpmpp_2m", denoise=0.7)
    return client.pixels(client.run(prompt)[shown])


def test_pictures_are_the_same_with_the_pack_and_after_a_run_a_failure_and_a_cancel(client):
    with HostServer(packs={name: PACKS[name] for name in ("emerdiff_small_model",)}) as server:
        bare = Client(server)
        assert not [name for name, node in bare.info.items() if node["python_module"].endswith("ComfyUI-EmerDiff")]
        without_the_pack = painted(bare, "bare.png")
    assert (painted(client, "with.png") == without_the_pack).all()
    client.run(client.workflow(SEGMENT, client.put_image("run.png", SCENE), preset="fast"))
    assert (painted(client, "after_a_run.png") == without_the_pack).all()
    small = client.put_image("small.png", SCENE.resize((64, 64)))
    with pytest.raises(WorkflowError, match="64"):
        client.run(client.workflow(SEGMENT, small, segments=100, preset="paper"))
    assert (painted(client, "after_a_failure.png") == without_the_pack).all()
    shares = []

    def cancel(node, value, maximum):
        shares.append(value / maximum)
        if node == "EmerDiffSegmentImage" and 0.3 < value / maximum < 1:
            client.server.interrupt()

    with pytest.raises(Interrupted, match="EmerDiff"):
        client.run(client.workflow(SEGMENT, client.put_image("cancel.png", SCENE), seed=5, preset="paper"), cancel)
    assert shares[-1] < 0.8, "the run went on after Cancel"
    assert (painted(client, "after_a_cancel.png") == without_the_pack).all()
