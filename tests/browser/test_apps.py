"""Bundled workflows as apps: the front end without the graph, their inputs in a panel, the click widget among them."""

import json

import numpy as np
import pytest
from ways import two_ways, vue_newest

from comfyui.workflow import CLICK, POINT, WORD, WORKFLOWS

LABELS = {
    CLICK: ["image", "Click in the picture", "what to paint there", "ckpt_name"],
    POINT: ["image", "Click in the picture", "ckpt_name"],
    WORD: ["image", "what to replace", "how many segments", "what to paint there", "ckpt_name"],
}
SHOWN = """(name) => [...document.images].some((each) => each.checkVisibility()
    && new URL(each.src).searchParams.get("filename") === name)"""
WIDTH = 480  # pixels of the page, of a square picture on a screen of 900
PICTURE_WIDTH = """() => {
    const shown = [...document.querySelectorAll(".emerdiff-stage canvas")].find((each) => each.checkVisibility())
    return Math.min(shown.clientWidth, shown.clientHeight)
}"""
TOGGLE = "app.extensionManager.command.execute('Comfy.ToggleLinear')"


def open_app(front_end, name: str) -> None:
    front_end.leave_subgraph()
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text())
    front_end.page.evaluate("async (workflow) => app.loadGraphData(workflow)", workflow)
    front_end.page.wait_for_timeout(500)
    front_end.page.evaluate(TOGGLE)
    labels = front_end.page.locator("[data-testid=linear-widgets] [data-testid=builder-widget-label]")
    labels.nth(len(LABELS[name]) - 1).wait_for()
    assert labels.all_inner_texts() == LABELS[name]
    tour = front_end.page.get_by_role("button", name="Skip")
    if tour.count():  # of apps in general, the first time
        tour.first.click()


@pytest.fixture
def app(front_end):
    yield front_end
    front_end.page.evaluate(TOGGLE)
    front_end.page.wait_for_timeout(500)


@pytest.mark.parametrize("name", LABELS)
@vue_newest
def test_an_app_has_its_inputs_and_shows_its_result(app, name):
    open_app(app, name)
    app.run()
    if name == CLICK:  # nothing is clicked yet
        return
    (shown,) = app.outputs("SaveImage")["images"]
    app.page.wait_for_function(SHOWN, arg=shown["filename"], timeout=10_000)
    app.shot(f"app_{name.replace(' ', '_')}")


@two_ways
def test_in_an_app_one_clicks_and_paints_and_the_graph_knows_it(app):
    open_app(app, CLICK)
    app.run()
    app.wait_for_picture()
    (labels,) = app.labels()
    assert app.page.evaluate(PICTURE_WIDTH) >= WIDTH
    app.page.locator(".emerdiff-stage canvas:visible").scroll_into_view_if_needed()
    chosen = int(np.bincount(labels.ravel()).argmax())
    app.click(labels, chosen)
    assert app.picked == str(chosen) and app.status.startswith("1 of")
    app.run()
    (painted,) = app.outputs("SaveImage")["images"]
    app.page.wait_for_function(SHOWN, arg=painted["filename"], timeout=10_000)
    app.shot("app_clicked")
    app.page.evaluate(TOGGLE)
    app.look(0.85)
    app.wait_for_picture()
    app.click(labels, chosen)  # the widget is in its node again
    assert app.picked == "" and app.status == "click what you want, then run again"
    app.page.evaluate(TOGGLE)
