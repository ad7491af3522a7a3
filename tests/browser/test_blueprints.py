"""Subgraph blueprints: found in the node library, added to a graph, run; the click widget works inside them."""

import numpy as np
import pytest
from front_end import DRAWN, HOSTS, SEGMENTS
from ways import two_ways

pytestmark = two_ways
CUT, REMOVE, REFINE = "Cut out a thing (EmerDiff)", "Remove a thing (EmerDiff)", "Refine a mask (EmerDiff)"
LIBRARY = "app.extensionManager.command.execute('Workspace.ToggleSidebarTab.node-library')"
HOST = f"{HOSTS}[0]"
CONNECT = f"""([painted, values]) => {{
    const host = {HOST}
    const make = (type, pos) => Object.assign(LiteGraph.createNode(type), {{ pos }})
    const model = make("EmerDiffLabSmallModel", [-700, 0])
    const image = make("LoadImage", [-700, 200])
    const shown = [make("PreviewImage", [600, 0]), make("MaskToImage", [600, 340]), make("PreviewImage", [900, 340])]
    for (const node of [model, image, ...shown]) app.graph.add(node)
    host.pos = [0, 0]
    model.widgets[0].value = 0
    image.widgets[0].value = painted
    const into = {{ model: [model, 0], clip: [model, 3], vae: [model, 2], image: [image, 0], mask: [image, 1] }}
    host.inputs.forEach(({{ name }}, slot) => into[name] && into[name][0].connect(into[name][1], host, slot))
    const mask = host.outputs.findIndex((output) => output.name === "mask")
    const picture = host.outputs.findIndex((output) => output.name === "image")
    if (picture >= 0) host.connect(picture, shown[0], 0)
    else app.graph.remove(shown[0])
    host.connect(mask, shown[1], 0)
    shown[1].connect(0, shown[2], 0)
    for (const widget of host.widgets) if (widget.name in values) widget.value = values[widget.name]
}}"""
VALUES = {"number of segments": SEGMENTS, "megapixels": 128 * 128 / 2**20, "steps": 2, "what is behind": "star"}


def add(front_end, name: str) -> None:
    """From the node library, as a user does it; then connected to a model and a picture."""
    page = front_end.page
    front_end.leave_subgraph()
    page.evaluate("app.clean()")
    page.evaluate(LIBRARY)
    page.get_by_placeholder("Search").first.fill(name.split(" (")[0])
    page.get_by_text(name, exact=True).first.click()
    page.mouse.move(700, 300)
    page.mouse.click(700, 300)  # where the front end lets one place it
    page.wait_for_function(f"{HOST} !== undefined")
    page.evaluate(LIBRARY)
    page.evaluate(CONNECT, ["painted.png", VALUES])
    page.wait_for_timeout(500)


def look_at_host(front_end) -> None:
    front_end.page.evaluate("() => { app.canvas.ds.scale = 0.7; app.canvas.ds.offset = [600, 120] }")
    front_end.page.evaluate("app.canvas.setDirty(true, true)")
    front_end.page.evaluate(DRAWN)


def value(front_end, name: str):
    return front_end.page.evaluate(f"{HOST}.widgets.find((widget) => widget.name === '{name}').value")


def labels_inside(front_end) -> np.ndarray:
    front_end.enter_subgraph()
    (labels,) = front_end.labels()
    front_end.leave_subgraph()
    return labels


def outputs(front_end) -> int:
    """How many pictures nodes have given, those inside the subgraph too."""
    return front_end.page.evaluate("Object.values(app.nodeOutputs).flatMap((each) => each?.images ?? []).length")


@pytest.mark.parametrize("name", [CUT, REMOVE])
def test_one_clicks_on_the_node_itself_and_the_thing_is_cut_out_or_removed(front_end, name):
    add(front_end, name)
    look_at_host(front_end)
    assert value(front_end, "selection") == "" and value(front_end, "number of segments") == SEGMENTS
    front_end.run()
    assert front_end.outputs("PreviewImage") is None  # nothing is clicked yet
    labels = labels_inside(front_end)
    look_at_host(front_end)
    front_end.wait_for_picture()
    front_end.shot(f"blueprint_{name.split()[0].lower()}")
    chosen = int(np.bincount(labels.ravel()).argmax())
    front_end.click(labels, chosen)
    assert value(front_end, "selection").split(" @")[0] == str(chosen)
    front_end.shot(f"blueprint_{name.split()[0].lower()}_clicked")
    before = outputs(front_end)
    front_end.run()
    assert outputs(front_end) >= before + 2  # picture and mask


def test_a_rough_mask_is_refined(front_end):
    add(front_end, REFINE)
    assert value(front_end, "preset") == "fast" and value(front_end, "strength") == 10
    front_end.run()
    (mask,) = front_end.masks()
    assert 0 < mask.mean() < 1
    front_end.shot("blueprint_refine")
