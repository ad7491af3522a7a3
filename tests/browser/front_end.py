"""Short ways to use the front end: graphs, runs, and the widget of Select Segments."""

import contextlib
import io
import json
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import graphs
import numpy as np
from graphs import SCENES, SEGMENTS
from PIL import Image
from playwright.sync_api import Page, Route

from comfyui import browser
from comfyui.front_ends import NEWEST
from comfyui.server import HostServer
from comfyui.workflow import STAND_INS, replace_loaders
from measure.metrics import interior
from show.video_file import encoded
from small_model.clips import clip
from small_model.scenes import HELD_OUT, scene

EXTENSION = "/extensions/ComfyUI-EmerDiff/"
SHOTS = Path(__file__).resolve().parents[2] / "test_output" / "browser"
PAINTED = "painted.png"  # the first scene with a square painted over in the mask editor
CLIP = "clip.mp4"
SMALLER = {  # so that a bundled workflow runs in seconds, on a scene of 128 pixels
    "EmerDiffSegmentImage": {"segments": SEGMENTS},
    "EmerDiffClusterFeatures": {"segments": SEGMENTS},
    "LoadImage": {"image": PAINTED},
    "LoadVideo": {"file": CLIP},
    "ImageScaleToTotalPixels": {"megapixels": 128 * 128 / 2**20},
    "KSampler": {"steps": 2},
    "Flux2Scheduler": {"steps": 2},
}
HOSTS = "app.rootGraph.nodes.filter((node) => node.subgraph)"  # the nodes that are subgraphs
ENTER = f"""(number) => {{
    for (let host = {HOSTS}[number]; host; host = host.subgraph.nodes.find((node) => node.subgraph))
        app.canvas.openSubgraph(host.subgraph, host)
}}"""
SHOWN = {  # addresses of the pictures that a node shows, in each mode
    "classic": "({node}.imgs ?? []).map((each) => each.src)",
    "vue": "[...document.querySelectorAll(`[data-node-id='${{{node}.id}}'] img`)].map((each) => each.src)",
}


def numbers(text: str) -> set[int]:
    found = set()
    for piece in filter(None, text.replace(" ", "").split(",")):
        first, *last = map(int, piece.split("-"))
        found |= set(range(first, (last or [first])[0] + 1))
    return found


def found(node: str) -> str:
    """In JavaScript the first node of a type, in the graph that is open."""
    return f"app.canvas.graph.nodes.find((node) => node.type === '{node}')"


def outputs_of(node: str) -> str:
    """In JavaScript what the first node of a type gave, or null."""
    graph = "app.canvas.graph"
    key = f"(({{ id }}) => {graph}.isRootGraph ? id : `${{{graph}.id}}:${{id}}`)({found(node)})"
    return f"app.nodeOutputs[{key}] ?? null"


SELECT = found("EmerDiffSelectSegments")
SETTLED = """async () => {
    const sizes = () => JSON.stringify(app.rootGraph.nodes.map((node) => [...node.size]))
    for (let before = null; before !== sizes(); ) {
        before = sizes()
        await new Promise((resolve) => setTimeout(resolve, 300))
    }
}"""
DRAWN = """async () => {
    for (let frame = 0; frame < 4; frame++) await new Promise((resolve) => requestAnimationFrame(resolve))
}"""
STATE = "app.extensionManager.workflow.activeWorkflow.changeTracker.activeState"
TRACKED = f"JSON.stringify({STATE}, (key, value) => key === 'size' ? undefined : value)"
SIZES_ARE_NO_CHANGE = """() => {
    const tracker = window.comfyAPI.changeTracker.ChangeTracker
    const equal = tracker.graphEqual
    const unsized = (graph) => JSON.parse(JSON.stringify(graph, (key, value) => key === "size" ? undefined : value))
    tracker.graphEqual = (one, other) => equal(unsized(one), unsized(other))
}"""

SLOW_PICTURES = """() => {
    window.ownFetch = window.fetch
    window.fetch = async (address, ...options) => {
        if (`${address}`.includes("/view?")) await new Promise((resolve) => setTimeout(resolve, 2000))
        return window.ownFetch(address, ...options)
    }
}"""


def put_scenes(server: HostServer) -> None:
    images = [Image.fromarray((scene(HELD_OUT + number).image * 255).round().astype(np.uint8)) for number in (0, 1)]
    painted = images[0].copy()
    alpha = Image.new("L", painted.size, 255)
    alpha.paste(0, (30, 60, 60, 95))
    painted.putalpha(alpha)
    for name, image in zip((*SCENES, PAINTED), (*images, painted)):
        file = io.BytesIO()
        image.save(file, "png")
        server.put_input(name, file.getvalue())
    server.put_input(CLIP, encoded(clip(HELD_OUT, 3).images))


def small(prompt: dict) -> dict:
    """A bundled workflow's prompt for the small model, with few segments and one of the model's words."""
    kinds = {node["class_type"] for node in prompt.values()}
    if not kinds & set(STAND_INS):
        return prompt
    for node in prompt.values():
        node["inputs"] |= {name: "star" for name in ("text", "prompt") if node["inputs"].get(name)}
    prompt = replace_loaders(prompt)
    preset = "draft" if "UNETLoader" in kinds else "fast"
    for node in prompt.values():
        wanted = {"preset": preset} | SMALLER.get(node["class_type"], {})
        node["inputs"] |= {name: value for name, value in wanted.items() if name in node["inputs"]}
        if node["inputs"].get("positive_points"):
            node["inputs"]["positive_points"] = '[{"x": 64, "y": 64}]'
    return prompt


class FrontEnd:
    """A page with a release of the front end in one of its node modes."""

    def __init__(self, page: Page, server: HostServer, mode: str, release: str):
        self.page, self.server, self.mode, self.release = page, server, mode, release
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(f"{error} {error.stack}"))
        page.on("console", self.keep_error)
        page.route("**/api/prompt", self.send_small)
        self.forget_sizes()

    def keep_error(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url')}")

    def send_small(self, route: Route) -> None:
        body = route.request.post_data_json
        route.continue_(post_data=json.dumps(body | {"prompt": small(body["prompt"])}))

    def shot(self, name: str) -> None:
        newest = "-newest" if self.release == NEWEST else ""
        self.page.screenshot(path=SHOTS / f"{name}-{self.mode}{newest}.png")

    # -- the graph

    def make_graph(self, pictures: int = 1, zoom: float = 0.85) -> None:
        unpicked = graphs.Node("EmerDiffSelectSegments", (0, 0), {"selection": "", "invert": False})
        self.make(graphs.segmented(unpicked, pictures), zoom=zoom)

    def make(self, nodes: list[graphs.Node], look_at: str = "EmerDiffSelectSegments", zoom: float = 0.85) -> None:
        self.leave_subgraph()
        self.page.evaluate(graphs.MAKE, graphs.as_json(nodes))
        self.look(zoom, look_at)

    def make_promoted(self, nodes: list[graphs.Node], promoted: graphs.Promoted) -> None:
        self.leave_subgraph()
        self.page.evaluate(graphs.MAKE, graphs.as_json(nodes, promoted))

    def enter_subgraph(self, number: int = 0, node: str = "EmerDiffSelectSegments") -> None:
        """The innermost of the subgraph node of this number, with this node in view."""
        self.leave_subgraph()
        self.page.evaluate(ENTER, number)
        self.look(0.85, node)
        self.notice()

    def notice(self) -> None:
        """Have the front end take what is drawn now for what is undone to, as a click anywhere would."""
        self.page.evaluate(SETTLED)
        self.page.evaluate("window.dispatchEvent(new MouseEvent('mouseup'))")
        self.page.evaluate(DRAWN)

    def forget_sizes(self) -> None:
        """Have the front end not take it for a change of the user's that a node grew when its picture came.

        Pictures come whenever the machine has time, and after any change nothing can be done anew.
        """
        self.page.evaluate(SIZES_ARE_NO_CHANGE)

    def leave_subgraph(self) -> None:
        """To the root. The page's address follows; while it names a subgraph, the workflow that has it is opened."""
        if not self.page.evaluate("app.canvas.graph.isRootGraph"):
            self.page.evaluate("app.canvas.subgraph = undefined; app.canvas.setGraph(app.rootGraph)")
            self.page.wait_for_timeout(500)

    def look(self, zoom: float, node: str = "EmerDiffSelectSegments") -> None:
        """Move the canvas so that the widget is in view."""
        place = f"app.canvas.ds.scale = {zoom}; const [x, y] = {found(node)}.pos"
        self.page.evaluate(f"() => {{ {place}; app.canvas.ds.offset = [420 / {zoom} - x, 110 / {zoom} - y] }}")
        self.page.evaluate("app.canvas.setDirty(true, true)")
        self.page.evaluate(DRAWN)

    def run(self) -> None:
        end = browser.run(self.page)
        assert end["kind"] == "execution_success", f"{end.get('node_type')}: {end.get('exception_message')}"

    def set(self, node: str, widget: str, value) -> None:
        """As a change by hand sets it."""
        change = "widget.value = value; widget.callback?.(value)"
        widgets = f"{found(node)}.widgets"
        self.page.evaluate(
            f"([name, value]) => {{ const widget = {widgets}.find((each) => each.name === name); {change} }}",
            [widget, value],
        )

    def outputs(self, node: str) -> dict | None:
        return self.page.evaluate(outputs_of(node))

    def wait_for_outputs(self, node: str) -> None:
        self.page.wait_for_function(outputs_of(node), timeout=20_000)

    @contextlib.contextmanager
    def texts(self):
        """Gives a function for the lines of text that nodes showed meanwhile."""
        self.page.evaluate(
            "() => { window.lines = []; app.api.addEventListener('progress_text', (e) => lines.push(e.detail.text)) }"
        )
        yield lambda: self.page.evaluate("window.lines")

    @contextlib.contextmanager
    def slow_pictures(self):
        """Pictures come two seconds late, as from a server far away."""
        self.page.evaluate(SLOW_PICTURES)
        yield
        self.page.evaluate("window.fetch = window.ownFetch")

    def forget(self) -> None:
        """Empty the server's cache: what is run next is computed, whatever other tests ran before."""
        self.server.post("/free", {"free_memory": True})
        self.page.wait_for_timeout(1000)

    def assert_shows(self, node: str, files: list[str]) -> None:
        """That a node shows these pictures, once they have been loaded, and goes on showing them."""
        for _ in range(100):
            if self.shown(node, 0.2) == files:
                break
        assert self.shown(node) == files

    def shown(self, node: str, after: float = 1.0) -> list[str]:
        """The names of the files that a node shows as pictures, or all of the address where it is no file."""
        self.page.evaluate("app.canvas.draw(true, true)")  # the classic canvas takes them up when it draws
        self.page.wait_for_timeout(1000 * after)
        addresses = self.page.evaluate(SHOWN[self.mode].format(node=found(node)))
        return [parse_qs(urlsplit(address).query).get("filename", [address])[0] for address in addresses]

    def masks(self) -> np.ndarray:
        """What came out: [N, H, W] bool."""
        files = [self.server.fetch(file) for file in self.outputs("PreviewImage")["images"]]
        return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("L")) > 127 for file in files])

    # -- the widget

    @property
    def selection(self) -> str:
        return self.page.evaluate(f"{SELECT}.widgets.find((each) => each.name === 'selection').value")

    @property
    def picked(self) -> str:
        """The selection without its fingerprint."""
        return self.selection.split(" @")[0]

    @property
    def status(self) -> str:
        return self.page.locator(".emerdiff-status:visible").inner_text()

    def assert_picked(self, wanted: Collection[int]) -> None:
        """These segments are picked, once the page has come to it."""
        for _ in range(60):
            self.page.wait_for_timeout(50)
            if numbers(self.picked) == wanted:
                return
        raise AssertionError(f"{self.picked} is picked, not {wanted}")

    def labels(self) -> np.ndarray:
        """The label maps that the widget got: [B, H, W]."""
        sent = self.outputs("EmerDiffSelectSegments")["emerdiff_segments"]
        files = [io.BytesIO(self.server.fetch(entry["labels"])) for entry in sent]
        return np.stack([np.asarray(Image.open(file))[..., 0] >> 3 for file in files])

    def wait_for_picture(self) -> None:
        """Until the widget has looked twice for what is new, and shows it on a node that fits it."""
        self.page.evaluate("new Promise((resolve) => setTimeout(resolve, 350))")
        self.page.locator(".emerdiff-stage canvas:not([aria-busy=true]):visible").wait_for(timeout=20_000)
        self.page.evaluate(SETTLED)

    def point(self, labels: np.ndarray, number: int) -> tuple[float, float]:
        """Where on the page the most interior pixel of a segment lies."""
        return self.on_page(labels.shape, *interior(labels == number))

    def on_page(self, shape: tuple[int, int], row: int, column: int) -> tuple[float, float]:
        box = self.page.locator(".emerdiff-stage canvas:visible").bounding_box()
        (height, width), scale = shape, min(box["width"] / shape[1], box["height"] / shape[0])
        left, top = (box["width"] - width * scale) / 2, (box["height"] - height * scale) / 2
        return box["x"] + left + (column + 0.5) * scale, box["y"] + top + (row + 0.5) * scale

    def click(self, labels: np.ndarray, number: int, key: str = "Control", button: str = "left") -> None:
        """In the middle of a segment, for all of it, or with another key held down."""
        self.page.keyboard.down(key)
        self.page.mouse.click(*self.point(labels, number), button=button)
        self.page.keyboard.up(key)

    def points(self, name: str):
        """What a text of points holds: a list, or a list a picture; empty where nothing is written."""
        value = self.page.evaluate(f"{SELECT}.widgets.find((each) => each.name === '{name}_points').value")
        return json.loads(value or "[]")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end)  # in one leap: nothing on the way may be left out
        self.page.mouse.up()

    def press(self, label: str) -> None:
        self.page.locator(f".emerdiff-picker button:visible:text-is('{label}')").last.click()

    def another_tab_and_back(self) -> None:
        self.page.evaluate("app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        self.page.wait_for_function("app.graph.nodes.length === 0")
        self.page.evaluate("app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
        self.page.wait_for_function("app.graph.nodes.length > 3")

    def load_page(self) -> None:
        self.page.reload()
        browser.wait_until_ready(self.page)
        self.forget_sizes()

    def load_again(self) -> None:
        self.load_page()
        self.page.wait_for_function("app.graph.nodes.length > 3", timeout=10_000)
        self.page.wait_for_timeout(500)

    def undo(self, keys: str = "Control+z", text: str | None = None) -> None:
        """However long the front end takes to notice what is undone, the selection or `text`, and to make the graph."""
        written = self.selection if text is None else text
        self.page.wait_for_function(f"(text) => {TRACKED}.includes(JSON.stringify(text))", arg=written)
        before = self.page.evaluate(TRACKED)
        self.page.keyboard.press(keys)
        self.page.wait_for_function(f"(before) => {TRACKED} !== before", arg=before)
        self.page.wait_for_timeout(600)
        self.wait_for_picture()
