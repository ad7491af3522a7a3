"""The click widget on what is no ordinary segmentation, and drags beside the picture."""

import numpy as np
import torch
from emerdiff.emerdiff_ops.files.safetensors_file import save
from front_end import SCENES, SELECT
from graphs import Node
from ways import classic_own, two_ways, vue_newest

CANVAS = ".emerdiff-stage canvas"
HALVES = np.repeat([[0, 1]], 64, 1).repeat(128, 0)
BARS = (
    f"() => {{ {SELECT}.properties.own_height = true; {SELECT}.setSize([400, 1000]); app.canvas.setDirty(true, true) }}"
)


def shown(front_end, labels: np.ndarray) -> None:
    """A saved segmentation without a tree, as files of version 0.1 are, in the widget."""
    tensors = {"labels": torch.from_numpy(labels).to(torch.int16)[None]}
    file = front_end.server.base / "input" / "plain.safetensors"
    save(file, "segmentation", tensors, {"count": str(labels.max() + 1)})
    load = Node("EmerDiffLoad", (320, 0), {"file_name": "plain.safetensors"})
    links = {"segmentation": (1, 0), "image": (0, 0)}
    image = Node("LoadImage", (0, 200), {"image": SCENES[0]})
    front_end.make([image, load, Node("EmerDiffSelectSegments", (640, 0), {"selection": ""}, links)])
    front_end.run()
    front_end.wait_for_picture()


@two_ways
def test_without_a_tree_the_wheel_changes_nothing_and_the_widget_says_why(front_end):
    shown(front_end, HALVES)
    front_end.click(HALVES, 1)
    for turn in (lambda: front_end.page.mouse.wheel(0, -100), lambda: front_end.page.keyboard.press("]")):
        turn()
        front_end.page.locator(".emerdiff-status", has_text="segment the picture again").wait_for(timeout=2000)
        assert front_end.picked == "1"
        for _ in range(2):
            front_end.click(HALVES, 1)
        assert front_end.status.startswith("1 of 2")


@vue_newest
def test_one_segment_can_be_picked_and_all_keys_do_no_harm(front_end):
    shown(front_end, np.zeros((128, 128), int))
    front_end.click(np.zeros((128, 128), int), 0)
    assert front_end.picked == "0" and front_end.status == "1 of 1 segments, 100.0%"
    for key in ("ArrowLeft", "ArrowDown", "[", "]", "b", "b"):
        front_end.page.keyboard.press(key)
    assert front_end.picked == "0"
    front_end.page.keyboard.press("Delete")
    assert front_end.selection == ""


@classic_own
def test_a_box_outside_picks_nothing_and_one_that_comes_in_counts_inside(front_end):
    shown(front_end, HALVES)
    front_end.page.evaluate(BARS)
    front_end.page.wait_for_timeout(500)
    front_end.look(0.6)
    box = front_end.page.locator(CANVAS).bounding_box()
    corner = box["x"] + 5, box["y"] + 5  # in the bar above the picture
    assert front_end.on_page((128, 128), 0, 0)[1] > corner[1] + 20
    front_end.press("box")
    front_end.drag(corner, (corner[0] + 60, corner[1] + 10))
    assert front_end.selection == ""
    front_end.drag(corner, front_end.on_page((128, 128), 127, 66))
    assert front_end.picked == "0"
