"""Every bundled workflow, opened from the front end's template browser in both node modes, and run in one of them."""

import json

import pytest
from playwright.sync_api import TimeoutError

from comfyui.workflow import NOTES, WORKFLOWS

TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
CLICKS = 3


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_opens_and_runs(front_end, name):
    page = front_end.page
    nodes = json.loads((WORKFLOWS / f"{name}.json").read_text())["nodes"]
    open_template(page, name, len(nodes))
    page.wait_for_timeout(800)
    assert not page.locator("[role=dialog]:visible").count(), page.locator("[role=dialog]:visible").inner_text()
    known = page.evaluate("Object.keys(LiteGraph.registered_node_types)")
    assert not {node["type"] for node in nodes} - set(known)
    if front_end.mode == "classic":
        return
    front_end.run()
    page.wait_for_timeout(500)
    front_end.shot(name.replace(" ", "_"))
    ran = [node for node in nodes if node["type"].startswith("EmerDiff") and node["type"] not in NOTES]
    assert any(front_end.outputs(node["type"]) for node in ran)


def open_template(page, name, count):
    """Opens it, and waits for so many nodes. A click is lost while the list still changes; a person clicks again."""
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.get_by_text("ComfyUI-EmerDiff", exact=True).first.click()
    card = page.locator(f"[data-testid='template-workflow-{name}']")
    for again in range(CLICKS):
        if again == 0 or card.is_visible():
            card.click()
        try:
            page.wait_for_function(f"app.graph.nodes.length === {count}", timeout=15_000)
            return
        except TimeoutError:
            shown = [each.inner_text() for each in page.locator("[role=dialog]:visible").all()]
    raise AssertionError(f"{name} does not open; dialogs: {shown}")


def test_an_old_workflow_that_names_a_preset_that_is_gone_opens_and_sends_it(front_end):
    """What the server makes of it, and says, is tested there."""
    page, name = front_end.page, "EmerDiff segment image"
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text().replace('20, "fast"', '20, "thorough"'))
    front_end.leave_subgraph()
    page.evaluate("async (graph) => app.loadGraphData(graph)", workflow)
    page.wait_for_timeout(800)
    assert not page.locator("[role=dialog]:visible").count()
    sent = page.evaluate("async () => Object.values((await app.graphToPrompt()).output)")
    assert [node["inputs"]["preset"] for node in sent if "preset" in node["inputs"]] == ["thorough"]
