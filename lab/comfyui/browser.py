"""ComfyUI's front end in Chromium, without a screen: for the tests in a browser and for pictures of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from comfyui.server import HostServer

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
VIEW: ViewportSize = {"width": 1360, "height": 900}
SETTINGS = {
    "Comfy.TutorialCompleted": True,  # else the template browser opens by itself
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
}
# Set once the graph is there: what a run came to, for run() below to wait for.
FOLLOW_RUNS = """() => {
    window.ends = []
    for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
        app.api.addEventListener(kind, ({ detail }) => window.ends.push({ kind, ...detail }))
}"""

PROMPT = """async (workflow) => {
    await app.loadGraphData(workflow)
    const nodes = Object.entries((await app.graphToPrompt()).output)
    return Object.fromEntries(nodes.map(([id, { class_type, inputs }]) => [id, { class_type, inputs }]))
}"""


@contextlib.contextmanager
def chromium(executable: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def set_up(server: HostServer, **settings) -> None:
    """The front end's settings, for pages opened or loaded again from now on."""
    server.post("/settings", SETTINGS | {"Comfy.VueNodes.Enabled": False} | settings)


def open_page(browser: Browser, server: HostServer, before: str = "") -> Page:
    """A page of its own with the front end, ready to be used; the script `before` runs whenever it is loaded."""
    page = browser.new_context(viewport=VIEW).new_page()
    page.add_init_script(before)
    page.goto(f"http://{server.address}")
    wait_until_ready(page)
    return page


def wait_until_ready(page: Page) -> None:
    page.wait_for_function("window.app?.graph && app.extensionManager?.command && app.vueAppReady", timeout=60_000)
    page.evaluate(FOLLOW_RUNS)


def run(page: Page, timeout: float = 120) -> dict:
    """Queue the graph as the Run button does and wait for its end: {"kind": "execution_success", ...}."""
    before = page.evaluate("window.ends.length")
    page.evaluate("app.extensionManager.command.execute('Comfy.QueuePrompt')")
    page.wait_for_function(f"window.ends.length > {before}", timeout=1000 * timeout)
    return page.evaluate("window.ends.at(-1)")


def prompt_of(page: Page, workflow: dict) -> dict:
    """What the front end queues for a saved workflow, which it shows from then on."""
    return page.evaluate(PROMPT, workflow)
