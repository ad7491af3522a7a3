"""How things look, as far as a test can tell: the widget in the light theme, and the front end's language.

Screenshots are kept of both, and of the help page.
"""

import io
import json

import pytest
from front_end import SELECT, SETTLED, found
from graphs import Node
from PIL import Image
from ways import other_two_ways, two_ways, vue_newest

from comfyui.workflow import WORKFLOWS

TITLE = f"""(() => {{
    const [x, y] = {SELECT}.pos
    const {{ left, top }} = app.canvas.canvas.getBoundingClientRect()
    const {{ scale, offset }} = app.canvas.ds
    return [left + (x + 170 + offset[0]) * scale, top + (y - 15 + offset[1]) * scale]
}})()"""


@pytest.mark.parametrize("scale", [pytest.param(0.3, marks=other_two_ways), 1, pytest.param(2, marks=two_ways)])
def test_the_widget_is_whole_at_every_zoom_and_in_a_light_theme(front_end, scale):
    page = front_end.page
    page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'light')")
    front_end.make_graph(zoom=scale)
    front_end.run()
    front_end.wait_for_picture()
    page.evaluate(SETTLED)
    front_end.shot(f"light_{scale}")
    page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    root = page.locator(".emerdiff-picker").bounding_box()
    for part in (".emerdiff-stage", ".emerdiff-bar", ".emerdiff-keys"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= root["x"] - 1 and box["x"] + box["width"] <= root["x"] + root["width"] + 1, part
        assert box["y"] + box["height"] <= root["y"] + root["height"] + 1, part
    cut = "(each) => each.scrollWidth > each.clientWidth"
    assert not page.locator(".emerdiff-status").evaluate(cut)


@two_ways
def test_the_panel_of_properties_leaves_the_widget_as_wide_as_its_node(front_end):
    front_end.make_graph()
    front_end.run()
    front_end.wait_for_picture()
    width = front_end.page.locator(".emerdiff-stage").bounding_box()["width"]
    front_end.page.mouse.click(*front_end.page.evaluate(TITLE))
    panel = front_end.page.get_by_role("button", name="Toggle properties panel").first
    parameters = front_end.page.get_by_role("tab", name="Parameters")
    if not parameters.is_visible():  # an earlier test may have left it open
        panel.click()
    parameters.click()
    front_end.page.evaluate(SETTLED)
    front_end.page.wait_for_timeout(500)
    assert front_end.page.locator(".emerdiff-stage").last.bounding_box()["width"] == pytest.approx(width, rel=0.02)
    panel.click()


POINTS = found("EmerDiffPickByPoints")
FITS = """() => {
    const { offsetWidth, offsetHeight } = document.querySelector(".emerdiff-stage canvas") ?? {}
    return Math.abs(offsetHeight - offsetWidth / 2) < 3
}"""
CORNER = f"""(() => {{
    const {{ pos, size }} = {POINTS}
    const {{ left, top }} = app.canvas.canvas.getBoundingClientRect()
    const {{ scale, offset }} = app.canvas.ds
    return [0, 1].map((axis) => [left, top][axis] + (pos[axis] + size[axis] + offset[axis]) * scale - 3)
}})()"""


def heights(front_end) -> tuple[float, float]:
    """The node's height, and the one that the workflow stores."""
    front_end.page.evaluate(SETTLED)
    return tuple(front_end.page.evaluate(f"[{POINTS}.size[1], {POINTS}.serialize().size[1]]"))


def test_a_node_fits_its_picture_until_its_height_is_set_by_hand(front_end):
    for name, size in (("wide.png", (200, 100)), ("tall.png", (100, 200))):
        picture = io.BytesIO()
        Image.new("RGB", size, "orange").save(picture, "png")
        front_end.server.put_input(name, picture.getvalue())
    image = Node("LoadImage", (0, 200), {"image": "wide.png"})
    front_end.make([image, Node("EmerDiffPickByPoints", (400, 0), {}, {"image": (0, 0)})], "EmerDiffPickByPoints")
    front_end.page.wait_for_function(FITS, timeout=10_000)
    fitted, stored = heights(front_end)
    assert fitted < stored - 50
    front_end.shot("fitted")
    front_end.set("LoadImage", "image", "tall.png")
    front_end.page.wait_for_function(f"(stored) => Math.abs({POINTS}.size[1] - stored) < 2", arg=stored, timeout=10_000)
    front_end.set("LoadImage", "image", "wide.png")
    front_end.page.wait_for_function(f"(fitted) => Math.abs({POINTS}.size[1] - fitted) < 2", arg=fitted, timeout=10_000)
    front_end.page.evaluate(SETTLED)
    x, y = front_end.page.evaluate(CORNER)
    front_end.page.mouse.move(x, y)
    front_end.page.mouse.down()
    front_end.page.mouse.move(x + 10, y + 60, steps=4)
    front_end.page.wait_for_timeout(300)
    front_end.page.mouse.move(x + 20, y + 120, steps=4)
    front_end.page.mouse.up()
    by_hand, stored = heights(front_end)
    assert by_hand == stored and by_hand > fitted + 60, "it stays as the user sets it"


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


@vue_newest
def test_nodes_widget_and_help_page_speak_the_front_end_s_language(japanese):
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
    page = japanese.page
    page.mouse.click(*page.evaluate(TITLE))
    page.locator("[data-testid=info-button]").first.click()
    pages = [WORKFLOWS.parent / f"nodes/web/docs/EmerDiffSelectSegments{end}.md" for end in ("/ja", "")]
    help_page = next(path for path in pages if path.exists()).read_text()  # English where the translation was stale
    page.get_by_text(help_page.splitlines()[0].removeprefix("# ")).last.wait_for(timeout=10_000)
    japanese.shot("japanese_help")
