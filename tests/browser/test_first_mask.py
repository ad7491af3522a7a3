"""From an open template to the exact mask of a thing, as the README says it, by a mouse whose clicks are counted."""

import io
import json

import numpy as np
import pytest
from front_end import SETTLED, small
from PIL import Image
from test_templates import OPEN, SCREEN
from ways import two_ways

from comfyui.workflow import CLICK
from measure.metrics import interior, iou
from small_model.scenes import HELD_OUT, scene

MOST = 5  # clicks
CHOICE = 2  # of them open a list of pictures and choose one; the tests put the picture in place
RUNS = 2
FIRST_THING = 2  # of a scene's labels: 0 and 1 are sky and ground
SHOWN = "9002"
ENOUGH = 0.75  # IoU
COUNT = "() => { window.clicks = 0; window.addEventListener('pointerdown', () => clicks++, true) }"


@pytest.fixture
def template(front_end):
    """Click and inpaint as it opens; what its exact mask is leaves the server as a picture too."""
    page, before = front_end.page, front_end.page.viewport_size
    page.set_viewport_size(SCREEN)
    front_end.leave_subgraph()
    page.evaluate(OPEN, CLICK)
    page.evaluate(SETTLED)
    page.wait_for_timeout(800)
    page.route("**/api/prompt", send_with_mask)
    yield front_end
    page.unroute("**/api/prompt", send_with_mask)
    page.set_viewport_size(before)


def send_with_mask(route):
    body = route.request.post_data_json
    asked = {id: node["inputs"].get("segments") for id, node in body["prompt"].items()}
    prompt = small(body["prompt"])
    for id, segments in asked.items():
        if segments:
            prompt[id]["inputs"]["segments"] = segments  # as many as the template has
    (lift,) = (id for id, node in prompt.items() if node["class_type"] == "EmerDiffLiftMask")
    prompt["9001"] = {"class_type": "MaskToImage", "inputs": {"mask": [lift, 0]}}
    prompt[SHOWN] = {"class_type": "PreviewImage", "inputs": {"images": ["9001", 0]}}
    route.continue_(post_data=json.dumps(body | {"prompt": prompt}))


def press_run(page) -> dict:
    before = page.evaluate("window.ends.length")
    page.get_by_test_id("queue-button").click()
    page.wait_for_function(f"window.ends.length > {before}", timeout=120_000)
    return page.evaluate("window.ends.at(-1)")


def exact_mask(server, prompt_id: str) -> np.ndarray:
    (file,) = server.history(prompt_id)["outputs"][SHOWN]["images"]
    return np.asarray(Image.open(io.BytesIO(server.fetch(file))).convert("L")) > 127


def found_best(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of the scene's objects the one that the segment under a click in its middle fits best."""
    things = [truth == number for number in range(FIRST_THING, truth.max() + 1)]
    return max(things, key=lambda thing: iou(labels == labels[interior(thing)], thing))


@two_ways
def test_five_clicks_and_two_runs_lead_to_the_exact_mask_of_a_thing(template):
    page = template.page
    page.evaluate(COUNT)
    ends = [press_run(page)]
    template.wait_for_picture()
    thing = found_best(template.labels()[0], scene(HELD_OUT).labels)
    page.mouse.click(*template.on_page(thing.shape, *interior(thing)))
    ends.append(press_run(page))
    assert [end["kind"] for end in ends] == ["execution_success"] * RUNS
    assert page.evaluate("clicks") + CHOICE <= MOST
    mask = exact_mask(template.server, ends[-1]["prompt_id"])
    assert iou(mask, thing) >= ENOUGH
    template.shot("first_mask")
