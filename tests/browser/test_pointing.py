"""Pointing at a thing on EmerDiff Pick by Points: before any run, with points, boxes and keys."""

import json

import numpy as np
import pytest
from front_end import SCENES, found
from graphs import Node, model_links
from ways import other_two_ways, two_ways, vue_newest

NODE = "EmerDiffPickByPoints"
GRAPH = [
    Node("EmerDiffLabSmallModel", (0, 0), {}),
    Node("LoadImage", (0, 200), {"image": SCENES[0]}),
    Node("EmerDiffExtractFeatures", (320, 0), {"seed": 0}, model_links(0) | {"image": (1, 0)}),
    Node(NODE, (640, 0), {}, {"features": (2, 0), "trajectory": (2, 1), "image": (1, 0)}),
    Node("MaskToImage", (1020, 0), {}, {"mask": (3, 0)}),
    Node("PreviewImage", (1020, 100), {}, {"images": (4, 0)}),
]
SIDE = 128
THING, OTHER = (85, 33), (20, 20)  # row, column: the disc, and the ground above


@pytest.fixture
def pointing(front_end):
    front_end.make(GRAPH, NODE)
    front_end.wait_for_picture()
    return front_end


def text(front_end, name: str):
    value = front_end.page.evaluate(f"{found(NODE)}.widgets.find((each) => each.name === '{name}').value")
    return value if isinstance(value, int) else json.loads(value or "[]")


def press(front_end, place: tuple[int, int], **how) -> None:
    front_end.page.mouse.click(*front_end.on_page((SIDE, SIDE), *place), **how)


@two_ways
def test_one_points_before_any_run_and_the_mask_holds_the_point(pointing):
    press(pointing, THING)
    press(pointing, OTHER, button="right")
    assert text(pointing, "positive_points") == [{"x": THING[1], "y": THING[0]}]
    assert text(pointing, "negative_points") == [{"x": OTHER[1], "y": OTHER[0]}]
    assert pointing.status == "points and boxes: 2"
    pointing.run()
    (mask,) = pointing.masks()
    assert mask[THING] and not mask[OTHER]
    pointing.wait_for_picture()
    assert pointing.status.startswith("points and boxes: 2, level ")
    press(pointing, OTHER)
    assert text(pointing, "negative_points") == [], "a click on a point takes it away"


@other_two_ways
def test_boxes_are_drawn_and_cleared(pointing):
    pointing.press("box")
    shape = (SIDE, SIDE)
    pointing.drag(pointing.on_page(shape, 90, 100), pointing.on_page(shape, 40, 30))
    (box,) = text(pointing, "boxes")
    sides = [box[side] for side in ("x", "y", "width", "height")]
    assert np.abs(np.subtract(sides, [30, 40, 71, 51])).max() <= 1
    pointing.run()
    (mask,) = pointing.masks()
    rows, columns = np.nonzero(mask)
    assert 39 <= rows.min() and rows.max() <= 91 and 29 <= columns.min() and columns.max() <= 101
    pointing.press("clear")
    assert text(pointing, "boxes") == [] and pointing.status == "click the middle of the thing, then run"


@two_ways
def test_the_wheel_goes_through_the_levels_at_once_and_a_run_gives_the_one_shown(pointing):
    press(pointing, THING)
    pointing.run()
    pointing.wait_for_picture()
    (before,) = pointing.masks()
    (entry,) = pointing.outputs(NODE)["emerdiff_levels"]
    assert entry["count"] > 1
    pointing.page.mouse.move(*pointing.on_page((SIDE, SIDE), *THING))
    larger = entry["first"] + 1 < entry["count"]
    pointing.page.mouse.wheel(0, -100 if larger else 100)
    shown = f"level {entry['first'] + (2 if larger else 0)} of {entry['count']}"
    pointing.page.locator(".emerdiff-status", has_text=shown).wait_for(timeout=2000)
    assert text(pointing, "level") == (1 if larger else -1)
    pointing.run()
    (after,) = pointing.masks()
    assert after.sum() != before.sum() and ((after & before) == (before if larger else after)).all()


@other_two_ways
def test_another_picture_is_shown_as_soon_as_it_is_chosen(pointing):
    press(pointing, THING)
    pointing.run()
    pointing.wait_for_picture()
    drawn = "document.querySelector('.emerdiff-stage canvas').toDataURL()"
    before = pointing.page.evaluate(drawn)
    pointing.set("LoadImage", "image", SCENES[1])
    pointing.page.wait_for_function(f"(before) => {drawn} !== before", arg=before, timeout=5000)


@vue_newest
def test_a_node_may_be_deleted_while_its_picture_loads(pointing):
    page, held = pointing.page, []
    page.route("**/api/view?*", lambda route: held.append(route))
    pointing.set("LoadImage", "image", SCENES[1])
    page.locator(".emerdiff-stage canvas[aria-busy=true]").wait_for()
    page.evaluate(f"app.graph.remove({found(NODE)})")
    page.unroute("**/api/view?*")
    for route in held:
        route.continue_()
    page.wait_for_load_state("networkidle")  # what went wrong then is in `front_end.errors`
