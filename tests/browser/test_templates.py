"""Every bundled workflow, opened from the front end's template browser in both node modes, and run in one of them."""

import json

import pytest

from comfyui.workflow import NOTES, WORKFLOWS

TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_opens_and_runs(front_end, name):
    page = front_end.page
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.get_by_text("ComfyUI-EmerDiff", exact=True).first.click()
    page.locator(f"[data-testid='template-workflow-{name}']").click()
    nodes = json.loads((WORKFLOWS / f"{name}.json").read_text())["nodes"]
    page.wait_for_function(f"app.graph.nodes.length === {len(nodes)}", timeout=20_000)
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
