"""ComfyUI's front ends in Chromium, before a real server with the small trained model: its own and the newest."""

from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the tests in a browser need the package playwright")

from front_end import EXTENSION, SHOTS, FrontEnd, put_scenes
from ways import wanted

from comfyui.browser import chromium, open_page, set_up
from comfyui.chromium import find_browser
from comfyui.front_ends import NEWEST, OWN, flags_of
from comfyui.server import HostServer, device_flags, interrupt_on_termination


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items, config):
    """These tests come last: until the session ends Playwright keeps an event loop, in which no other can be run."""
    yield  # pytest drops what the markers do not ask for
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = filter(wanted, items)
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


# Twenty frames a second and nothing that pulses: without a GPU endless redrawing is a fifth of a run's processor time.
CALM = """
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 50)
window.cancelAnimationFrame = clearTimeout
const still = new CSSStyleSheet()
still.replaceSync("* { animation: none !important }")
document.adoptedStyleSheets = [still]
"""


@pytest.fixture(scope="session", params=[OWN, NEWEST])
def release(request):
    """Which front end is served: the one that this ComfyUI brings, or the newest."""
    return request.param


@pytest.fixture(scope="session")
def server(release):
    if find_browser() is None:
        pytest.skip("no Chromium or Chrome is on PATH")
    interrupt_on_termination()
    SHOTS.mkdir(parents=True, exist_ok=True)
    kept = ("--cache-lru", "100")  # results of nodes: most tests run the same graph; forget() empties it
    with HostServer(flags=(*device_flags(), *kept, *flags_of(release))) as server:
        put_scenes(server)
        yield server


@pytest.fixture(scope="session")
def chrome():
    if find_browser() is None:
        pytest.skip("no Chromium or Chrome is on PATH")
    with chromium(find_browser()) as browser:
        yield browser


@pytest.fixture(scope="session", params=["classic", "vue"])
def front_end_of_a_mode(request, chrome, server, release):
    set_up(server, **{"Comfy.VueNodes.Enabled": request.param == "vue", "Comfy.Minimap.Visible": False})
    page = open_page(chrome, server, CALM)
    yield FrontEnd(page, server, request.param, release)
    page.context.close()


@pytest.fixture
def front_end(front_end_of_a_mode, request):
    """In both front ends and node modes; a picture is kept of how each test ends, and no error of ours was logged."""
    front_end_of_a_mode.errors.clear()
    yield front_end_of_a_mode
    front_end_of_a_mode.shot(request.node.name.split("[")[0].removeprefix("test_"))
    assert not [error for error in front_end_of_a_mode.errors if EXTENSION in error or "EmerDiff" in error]


@pytest.fixture
def picker(front_end):
    """The front end with a graph of one picture that has been run, and nothing selected."""
    front_end.make_graph()
    return ready(front_end)


@pytest.fixture
def with_specks(front_end):
    """The same with specks, so that segments have several parts."""
    front_end.make_graph()
    front_end.set("EmerDiffSegmentImage", "specks", 0)
    return ready(front_end)


def ready(front_end):
    front_end.run()
    front_end.wait_for_picture()
    front_end.notice()
    return front_end
