"""What people find and read: nodes by the words they search for, templates in their language, no lines of past runs."""

import json

import pytest
from front_end import found
from ways import two_ways, vue_newest, vue_own

from comfyui.workflow import CLICK, WORKFLOWS

# Not "mask", "sam", "inpaint": nodes whose name has the word come first, by how often they are used, and aliases count
# for nothing in that order. ComfyUI has 15, 38 and 9 of them, blueprints among them; ten rows are seen.
WORDS = ("select object", "remove background", "outline", "cut out", "segment")
SCREEN = {"width": 1600, "height": 900}
VISIBLE = """() => [...document.querySelectorAll("[data-testid=result-item]")].filter((each) => {
    const list = each.parentElement.getBoundingClientRect()
    return each.getBoundingClientRect().bottom <= list.bottom + 1
}).map((each) => each.innerText)"""
TEXTS = """() => [...app.graph.nodes.map((node) => node.title), ...app.graph.groups.map((group) => group.title),
    ...app.graph.nodes.filter(({ type }) => type === "MarkdownNote").map((node) => node.widgets[0].value)]"""
LINE = "$$node-text-preview"
LINES = f"{{node}}.widgets.filter(({{{{ name }}}}) => name === '{LINE}').map(({{{{ value }}}}) => value)"


@pytest.fixture
def on_a_screen(front_end):
    before = front_end.page.viewport_size
    front_end.page.set_viewport_size(SCREEN)
    front_end.leave_subgraph()
    front_end.page.evaluate("app.clean()")
    yield front_end
    front_end.page.set_viewport_size(before)


@two_ways
def test_the_search_for_nodes_shows_ours_without_scrolling(on_a_screen):
    page = on_a_screen.page
    for word in WORDS:
        page.mouse.dblclick(900, 700)
        page.get_by_role("dialog").locator("input").first.fill(word)
        page.wait_for_timeout(800)
        on_a_screen.shot(f"search_{word.replace(' ', '_')}")
        assert any("EmerDiff" in each for each in page.evaluate(VISIBLE)), word
        page.keyboard.press("Escape")
        page.get_by_test_id("result-item").first.wait_for(state="hidden")


@vue_newest
def test_a_template_opens_in_the_front_end_s_language_and_other_workflows_as_they_are(on_a_screen):
    page = on_a_screen.page
    workflow = json.loads((WORKFLOWS / f"{CLICK}.json").read_text())
    french = json.loads((WORKFLOWS.parent / "locales" / "fr" / "main.json").read_text())["emerdiff_workflows"]
    own = workflow | {"nodes": [node for node in workflow["nodes"] if node["type"] != "MarkdownNote"]}
    setting = "(language) => app.extensionManager.setting.set('Comfy.Locale', language)"
    page.evaluate(setting, "fr")
    try:
        page.evaluate("async (workflow) => app.loadGraphData(workflow)", workflow)
        page.wait_for_timeout(500)
        on_a_screen.shot("template_in_french")
        texts = page.evaluate(TEXTS)
        page.evaluate("async (workflow) => app.loadGraphData(workflow)", own)
        untouched = page.evaluate(TEXTS)
    finally:
        page.evaluate(setting, "en")
    english = {text for text in french if text in {*texts, *untouched}}
    (note,) = (node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    assert {"Que faire", "Image", french[note]} <= set(texts)
    assert not english & set(texts) and "Picture" in untouched


@vue_own
def test_the_line_of_a_run_s_progress_goes_with_the_run_and_others_stay(front_end):
    page, segment, select = front_end.page, found("EmerDiffSegmentImage"), found("EmerDiffSelectSegments")
    front_end.make_graph()
    for node, text in ((segment, "33 evaluations in 5 s"), (select, "mask 1: it lies elsewhere")):
        page.evaluate(f"(text) => {{ const w = {node}.addWidget('text', '{LINE}', text); w.value = text }}", text)
    page.evaluate("app.api.dispatchCustomEvent('execution_success', {})")
    assert page.evaluate(LINES.format(node=segment)) == []
    assert page.evaluate(LINES.format(node=select)) == ["mask 1: it lies elsewhere"]
