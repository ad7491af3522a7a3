"""What nodes show after a run: the finished picture and nothing else, whatever was shown or cached before."""

import shutil

import pytest
from front_end import PAINTED, SCENES, SEGMENTS, FrontEnd
from graphs import Node, Promoted, model_links
from ways import classic_own, two_ways, vue_newest, vue_own

PAUSE = {"pause": 1.2}  # seconds an evaluation, so that each brings a live preview
SEGMENT = [
    Node("EmerDiffLabSmallModel", (0, 0), PAUSE),
    Node("LoadImage", (0, 200), {"image": SCENES[0]}),
    Node(
        "EmerDiffSegmentImage",
        (320, 0),
        {"segments": SEGMENTS, "preset": "fast", "seed": 0},
        model_links(0) | {"image": (1, 0)},
    ),
    Node("PreviewImage", (660, 0), {}, {"images": (2, 2)}),
]
LIFT = [
    Node("EmerDiffLabSmallModel", (0, 0), PAUSE),
    Node("LoadImage", (0, 200), {"image": PAINTED}),
    Node(
        "EmerDiffLiftMask",
        (320, 0),
        {"preset": "fast", "seed": 0},
        model_links(0) | {"image": (1, 0), "mask": (1, 1)},
    ),
    Node("MaskToImage", (660, 0), {}, {"mask": (2, 0)}),
    Node("PreviewImage", (660, 100), {}, {"images": (3, 0)}),
]


def given(front_end: FrontEnd, node: str) -> list[str]:
    """The pictures that the server says a node gave."""
    return [image["filename"] for image in front_end.outputs(node)["images"]]


@two_ways
@pytest.mark.parametrize(("graph", "node"), [(SEGMENT, "EmerDiffSegmentImage"), (LIFT, "EmerDiffLiftMask")])
def test_after_a_long_run_a_node_shows_its_result_once(front_end, graph, node):
    front_end.make(graph, node)
    front_end.forget()
    with front_end.texts() as texts:
        front_end.run()
    assert any("left" in text for text in texts()), "too quick for a live preview"
    result = given(front_end, node)
    assert len(result) == 1
    front_end.assert_shows(node, result)
    front_end.run()  # all of it cached
    front_end.assert_shows(node, result)
    front_end.another_tab_and_back()
    front_end.assert_shows(node, result)


@vue_newest
def test_a_cached_node_shows_its_picture_in_a_page_loaded_again(front_end):
    front_end.make(SEGMENT, "EmerDiffSegmentImage")
    front_end.set("EmerDiffLabSmallModel", "pause", 0)
    front_end.forget()
    front_end.run()
    front_end.page.wait_for_timeout(1500)  # the front end keeps drafts a moment after a change
    result = given(front_end, "EmerDiffSegmentImage")
    front_end.load_again()
    assert front_end.shown("EmerDiffSegmentImage") == []
    front_end.run()
    front_end.assert_shows("EmerDiffSegmentImage", result)
    front_end.set("EmerDiffSegmentImage", "seed", 1)
    front_end.run()
    other = given(front_end, "EmerDiffSegmentImage")
    assert other != result
    front_end.assert_shows("EmerDiffSegmentImage", other)


@classic_own
def test_a_cached_node_in_a_subgraph_shows_its_picture_too(front_end):
    node = "EmerDiffSegmentImage"
    image = Node("PreviewImage", (660, 400), {}, {"images": (1, 0)})
    front_end.make_promoted([SEGMENT[0]._replace(widgets={"pause": 0}), *SEGMENT[1:], image], Promoted(node, ()))
    front_end.run()
    front_end.page.wait_for_timeout(1500)
    front_end.load_again()
    front_end.enter_subgraph(node=node)
    assert front_end.shown(node) == []
    front_end.run()
    front_end.wait_for_outputs(node)
    front_end.assert_shows(node, given(front_end, node))


@vue_own
def test_pictures_to_click_in_that_were_removed_come_back_with_the_next_run(front_end):
    """Also where the run before is in ComfyUI's cache."""
    front_end.make_graph()
    front_end.run()
    front_end.page.wait_for_timeout(1500)
    shutil.rmtree(front_end.server.base / "temp" / "emerdiff")
    front_end.load_again()
    front_end.run()
    front_end.wait_for_picture()
    assert front_end.page.locator(".emerdiff-stage canvas").is_visible()
