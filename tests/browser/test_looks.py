"""How things look, as far as a test can tell: no node over another or out of its group, and the front end's language.

Screenshots are kept of every workflow after a run, of the widget in the light theme, and of the help page.
"""

import json

import pytest
from front_end import SELECT

from comfyui.workflow import NOTES, WORKFLOWS

SLACK = 2
PLACES = """() => app.graph.nodes.map((node) => {
    const shown = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
    const height = shown ? shown.height / app.canvas.ds.scale - 30 : node.size[1]
    return { id: node.id, type: node.type, box: [node.pos[0], node.pos[1] - 30, node.pos[0] + node.size[0],
        node.pos[1] + height] }
})"""
TITLE = f"""(() => {{
    const [x, y] = {SELECT}.pos
    const {{ left, top }} = app.canvas.canvas.getBoundingClientRect()
    const {{ scale, offset }} = app.canvas.ds
    return [left + (x + 170 + offset[0]) * scale, top + (y - 15 + offset[1]) * scale]
}})()"""
GROUPS = "app.graph.groups.map((group) => [...group._bounding])"


def overlap(one: list[float], other: list[float]) -> bool:
    low, high = map(max, one[:2], other[:2]), map(min, one[2:], other[2:])
    return all(least < most - SLACK for least, most in zip(low, high))


def inside(box: list[float], group: list[float]) -> bool:
    left, top, width, height = group
    reach = [left + width, top + height]
    within = all(low <= each + SLACK for low, each in zip((left, top), box[:2]))
    return within and all(each <= most + SLACK for each, most in zip(box[2:], reach))


@pytest.mark.parametrize("name", sorted(path.stem for path in WORKFLOWS.glob("*.json")))
def test_after_a_run_no_node_lies_over_another_or_out_of_its_group(front_end, name):
    page = front_end.page
    front_end.leave_subgraph()
    page.evaluate("async (graph) => app.loadGraphData(graph)", json.loads((WORKFLOWS / f"{name}.json").read_text()))
    front_end.run()
    page.wait_for_timeout(1500)
    front_end.shot(f"look_{name.replace(' ', '_')}")
    nodes, groups = page.evaluate(PLACES), page.evaluate(GROUPS)
    over = [(a, b) for a in nodes for b in nodes if a["id"] < b["id"] and overlap(a["box"], b["box"])]
    assert not over
    lost = [node for node in nodes if node["type"] not in NOTES and not any(inside(node["box"], g) for g in groups)]
    assert not lost


@pytest.mark.parametrize("scale", [0.3, 1, 2])
def test_the_widget_is_whole_at_every_zoom_and_in_a_light_theme(front_end, scale):
    page = front_end.page
    page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'light')")
    front_end.make_graph(zoom=scale)
    front_end.run()
    front_end.wait_for_picture()
    page.wait_for_timeout(500)
    front_end.shot(f"light_{scale}")
    page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    root = page.locator(".emerdiff-picker").bounding_box()
    for part in (".emerdiff-stage", ".emerdiff-bar", ".emerdiff-keys"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= root["x"] - 1 and box["x"] + box["width"] <= root["x"] + root["width"] + 1, part
        assert box["y"] + box["height"] <= root["y"] + root["height"] + 1, part
    cut = "(each) => each.scrollWidth > each.clientWidth"
    assert not page.locator(".emerdiff-status").evaluate(cut)


@pytest.fixture
def japanese(front_end):
    front_end.leave_subgraph()
    front_end.server.post("/settings", {"Comfy.Locale": "ja"})
    front_end.load_page()
    yield front_end
    front_end.server.post("/settings", {"Comfy.Locale": "en"})
    front_end.load_page()


def texts_in(language, file):
    return json.loads((WORKFLOWS.parent / "locales" / language / f"{file}.json").read_text())


def test_nodes_and_widget_speak_the_front_end_s_language(japanese):
    texts = texts_in("en", "main")["emerdiff"] | texts_in("ja", "main")["emerdiff"]
    node = texts_in("ja", "nodeDefs")["EmerDiffSelectSegments"]
    japanese.make_graph()
    japanese.run()
    japanese.wait_for_picture()
    assert japanese.status == texts["nothing"]
    assert japanese.page.locator(".emerdiff-keys").inner_text() == texts["keys"]
    titles = japanese.page.evaluate("app.graph.nodes.map((node) => node.title)")
    assert node.get("display_name", "EmerDiff Select Segments") in titles
    labels = japanese.page.evaluate(f"{SELECT}.inputs.map((slot) => slot.localized_name ?? slot.label)")
    assert node["inputs"]["segmentation"].get("name", "segmentation") in labels
    japanese.shot("japanese")


def test_the_help_page_is_in_the_front_end_s_language(japanese):
    page = japanese.page
    japanese.make_graph()
    page.mouse.click(*page.evaluate(TITLE))
    page.locator("[data-testid=info-button]").first.click()
    pages = [WORKFLOWS.parent / f"nodes/web/docs/EmerDiffSelectSegments{end}.md" for end in ("/ja", "")]
    help_page = next(path for path in pages if path.exists()).read_text()  # English where the translation was stale
    page.get_by_text(help_page.splitlines()[0].removeprefix("# ")).last.wait_for(timeout=10_000)
    page.wait_for_timeout(500)
    japanese.shot("japanese_help")
