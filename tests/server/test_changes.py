"""What an edited workflow runs again, counted in UNet evaluations; and what the node says meanwhile."""

import re

from PIL import Image
from server_client import PIXELS

from comfyui.workflow import SEGMENT, STEPS, add, find, with_inputs
from small_model.scenes import SIZE

LEVELS = {"paper": 15, "balanced": 4, "fast": 2}  # UNet evaluations; six segments fit into one batch
READINGS = {"paper": 1, "balanced": 2, "fast": 2}  # of a picture's features


def fresh_picture(client, name: str, side: int = SIZE) -> str:
    """The scene under a name that no earlier test has used, so that nothing of it is cached."""
    return client.put_image(name, Image.fromarray(PIXELS).resize((side, side)))


def test_each_change_runs_again_only_what_depends_on_it(client):
    prompt = client.workflow(STEPS, fresh_picture(client, "steps.png", 64))
    assert client.evaluations(prompt) == READINGS["fast"] + LEVELS["fast"]
    for change in ({"smoothing": 2.0}, {"min_area": 0.01}, {"normalize": True}):
        assert client.evaluations(with_inputs(prompt, "EmerDiffAssembleMasks", **change)) == 0, change
    assert client.evaluations(with_inputs(prompt, "EmerDiffModulateAttention", strength=5.0)) == LEVELS["fast"]
    other = with_inputs(prompt, "EmerDiffModulateAttention", preset="balanced")
    assert client.evaluations(other) == LEVELS["balanced"]
    assert client.evaluations(with_inputs(prompt, "EmerDiffClusterFeatures", segments=5)) == LEVELS["fast"]


def test_the_one_node_runs_again_only_what_a_change_concerns(client):
    """Its own inputs too: another number of segments or preset reads no features anew, but for the paper's own."""
    prompt = client.workflow(SEGMENT, fresh_picture(client, "one.png", 64), preset="paper")
    node = "EmerDiffSegmentImage"
    assert client.evaluations(prompt) == READINGS["paper"] + LEVELS["paper"]
    prompt = with_inputs(prompt, node, preset="fast")
    assert client.evaluations(prompt) == READINGS["fast"] + LEVELS["fast"]
    prompt = with_inputs(prompt, node, preset="balanced")
    assert client.evaluations(prompt) == LEVELS["balanced"]
    prompt = with_inputs(prompt, node, segments=5)
    assert client.evaluations(prompt) == LEVELS["balanced"]
    assert client.evaluations(prompt) == 0
    assert client.evaluations(with_inputs(prompt, node, seed=1)) == READINGS["balanced"] + LEVELS["balanced"]
    select = add(
        prompt, "EmerDiffSelectSegments", segmentation=[find(prompt, "EmerDiffSegmentImage"), 1], selection="0",
        positive_points="", negative_points="", invert=False,
    )  # fmt: skip
    add(prompt, "PreviewImage", images=[select, 1])
    client.evaluations(prompt)
    assert client.evaluations(with_inputs(prompt, "EmerDiffSelectSegments", selection="1-2", invert=True)) == 0


def test_the_node_says_how_long_it_still_takes(client):
    prompt = client.workflow(SEGMENT, fresh_picture(client, "text.png", 64), preset="paper")
    prompt = with_inputs(prompt, "EmerDiffLabSmallModel", pause=0.15)  # it says so once a second
    said = []
    client.run(prompt, on_text=lambda node, text: said.append((node, text)))
    assert {node for node, _ in said} == {find(prompt, "EmerDiffSegmentImage")}
    *during, last = [text for _, text in said]
    left, earlier = r"\d+ of \d+, about .+ left", r"\d+ \w+ in .+"  # of steps that last over a second
    assert all(re.fullmatch(f"{left}|{earlier}", text) for text in during)
    assert any(re.fullmatch(left, text) for text in during)
    assert re.fullmatch(r"\d+ steps in .+", last)
