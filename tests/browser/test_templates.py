"""Every bundled workflow, opened as the template browser opens it and run; no node over another or out of its group.

A screenshot is kept of each after its run.
"""

import json

import pytest
from front_end import SETTLED
from playwright.sync_api import TimeoutError
from ways import classic_own, two_ways

from comfyui.browser import prompt_of
from comfyui.workflow import CLICK, NOTES, WORKFLOWS, load_prompt

TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
CLICKS = 3
PATIENCE = 15  # seconds
SCREEN = {"width": 1600, "height": 900}  # a common one; the canvas draws no text below 57%
LEAST_SCALE = 0.6
STEPS = 3
SLACK = 2
PLACES = """() => app.graph.nodes.map((node) => {
    const shown = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
    const height = shown ? shown.height / app.canvas.ds.scale - 30 : node.size[1]
    return { id: node.id, type: node.type, box: [node.pos[0], node.pos[1] - 30, node.pos[0] + node.size[0],
        node.pos[1] + height] }
})"""
OPEN = """async (name) => {
    const template = await app.api.fetchApi(`/workflow_templates/ComfyUI-EmerDiff/${encodeURIComponent(name)}.json`)
    await app.loadGraphData(await template.json(), true, true, name, { openSource: "template" })
}"""
DIALOGS = "[role=dialog]:visible"
GROUPS = "app.graph.groups.map((group) => [...group._bounding])"


def overlap(one: list[float], other: list[float]) -> bool:
    low, high = map(max, one[:2], other[:2]), map(min, one[2:], other[2:])
    return all(least < most - SLACK for least, most in zip(low, high))


def inside(box: list[float], group: list[float]) -> bool:
    left, top, width, height = group
    reach = [left + width, top + height]
    within = all(low <= each + SLACK for low, each in zip((left, top), box[:2]))
    return within and all(each <= most + SLACK for each, most in zip(box[2:], reach))


@pytest.fixture
def on_a_screen(front_end):
    before = front_end.page.viewport_size
    front_end.page.set_viewport_size(SCREEN)
    yield front_end
    front_end.page.set_viewport_size(before)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_note_of_at_most_three_steps_is_what_one_reads_first(name):
    nodes = json.loads((WORKFLOWS / f"{name}.json").read_text())["nodes"]
    (note,) = [node for node in nodes if node["type"] in NOTES]
    assert note["pos"] == [min(node["pos"][axis] for node in nodes) for axis in (0, 1)]
    lines = note["widgets_values"][0].splitlines()
    assert len(lines) <= STEPS and all(line.startswith(f"{number}. ") for number, line in enumerate(lines, 1))


def test_the_template_browser_has_every_template_and_opens_it(front_end):
    page = front_end.page
    front_end.leave_subgraph()
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.get_by_text("ComfyUI-EmerDiff", exact=True).first.click()
    cards = page.locator("[data-testid^='template-workflow-']")
    cards.nth(len(TEMPLATES) - 1).wait_for()
    shown = [each.get_attribute("data-testid").removeprefix("template-workflow-") for each in cards.all()]
    assert sorted(shown) == TEMPLATES
    click_card(page, CLICK, len(json.loads((WORKFLOWS / f"{CLICK}.json").read_text())["nodes"]))
    page.evaluate(SETTLED)
    assert not page.locator(DIALOGS).count(), page.locator(DIALOGS).inner_text()


@two_ways
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_opens_and_runs_and_is_in_order(on_a_screen, name):
    front_end, page = on_a_screen, on_a_screen.page
    nodes = json.loads((WORKFLOWS / f"{name}.json").read_text())["nodes"]
    front_end.leave_subgraph()
    page.evaluate(OPEN, name)
    page.evaluate(SETTLED)
    assert page.evaluate("app.graph.nodes.length") == len(nodes)
    assert not page.locator(DIALOGS).count(), page.locator(DIALOGS).inner_text()
    assert page.evaluate("app.canvas.ds.scale") >= LEAST_SCALE, "texts on the nodes can be read"
    front_end.shot(f"open_{name.replace(' ', '_')}")
    known = page.evaluate("Object.keys(LiteGraph.registered_node_types)")
    assert not {node["type"] for node in nodes} - set(known)
    front_end.forget()  # a node whose steps another template has run already gives no picture
    front_end.run()
    page.wait_for_timeout(1500)
    ran = [node["type"] for node in nodes if node["type"].startswith("EmerDiff")]
    until(page, lambda: any(map(front_end.outputs, ran)))  # what is cached is looked up in the server's history
    front_end.shot(f"look_{name.replace(' ', '_')}")
    placed, groups = page.evaluate(PLACES), page.evaluate(GROUPS)
    over = [(a, b) for a in placed for b in placed if a["id"] < b["id"] and overlap(a["box"], b["box"])]
    assert not over
    lost = [node for node in placed if node["type"] not in NOTES and not any(inside(node["box"], g) for g in groups)]
    assert not lost


def until(page, holds) -> None:
    for _ in range(PATIENCE):
        if holds():
            return
        page.wait_for_timeout(1000)
    raise AssertionError


def click_card(page, name, count):
    """Until so many nodes are there. A click is lost while the list still changes; a person clicks again."""
    card = page.locator(f"[data-testid='template-workflow-{name}']")
    for again in range(CLICKS):
        if again == 0 or card.is_visible():
            card.click()
        try:
            page.wait_for_function(f"app.graph.nodes.length === {count}", timeout=15_000)
            return
        except TimeoutError:
            shown = [each.inner_text() for each in page.locator(DIALOGS).all()]
    raise AssertionError(f"{name} does not open; dialogs: {shown}")


@classic_own
def test_an_old_workflow_that_names_a_preset_that_is_gone_opens_and_sends_it(front_end):
    """What the server makes of it, and says, is tested there."""
    page, name = front_end.page, "EmerDiff segment image"
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text().replace('20, "fast"', '20, "thorough"'))
    front_end.leave_subgraph()
    page.evaluate("async (graph) => app.loadGraphData(graph)", workflow)
    page.evaluate(SETTLED)
    assert not page.locator(DIALOGS).count()
    sent = page.evaluate("async () => Object.values((await app.graphToPrompt()).output)")
    assert [node["inputs"]["preset"] for node in sent if "preset" in node["inputs"]] == ["thorough"]


@pytest.mark.parametrize("name", [path.stem for path in sorted(WORKFLOWS.glob("*.json"))])
@classic_own
def test_the_prompt_in_docs_is_what_the_front_end_queues(front_end, name):
    front_end.leave_subgraph()
    queued = prompt_of(front_end.page, json.loads((WORKFLOWS / f"{name}.json").read_text()))
    assert queued == load_prompt(name), "run lab/run.py prompts"
