"""Wheel, boxes, edges and keys of the click widget, in the classic canvas and in the Vue nodes."""

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.boxes import select_in_boxes
from emerdiff.emerdiff_ops.segments.edge import Edge, edged
from front_end import EXTENSION, SELECT, numbers
from ways import two_ways

CANVAS = ".emerdiff-stage canvas"
EDGED = """async ([extension, inside, width, height, edge]) => {
  const { edged } = await import(extension + "js/edge.js")
  return [...edged(Uint8Array.from(inside), width, height, edge)]
}"""
DRAWN_IN_PICTURE = f"document.querySelector('{CANVAS}').toDataURL()"


def branches(tree: list, number: int) -> list[set[int]]:
    """The branches that hold a segment, from itself on, by the merges that the node sent."""
    parts, found = {}, [{number}]
    for kept, gone in tree:
        parts[kept] = parts.get(kept, {kept}) | parts.get(gone, {gone})
        found += [parts[kept]] * (number in parts[kept])
    return found


def test_the_wheel_over_a_pick_makes_it_larger_and_smaller(picker):
    (labels,) = picker.labels()
    (entry,) = picker.outputs("EmerDiffSelectSegments")["emerdiff_segments"]
    chosen = int(np.argsort(np.bincount(labels.ravel()))[-3])
    levels, mouse = branches(entry["tree"], chosen), picker.page.mouse
    assert len(levels) > 2 and levels[-1] == set(range(6))
    scale = picker.page.evaluate("app.canvas.ds.scale")
    picker.click(labels, chosen)
    for turn, level in ((-100, 1), (-30, 1), (-30, 2), (100, 1), (100, 0)):  # below it are parts
        mouse.wheel(0, turn)
        picker.assert_picked(levels[level])
    for key, level in (("]", 1), ("]", 2), ("[", 1)):
        picker.page.keyboard.press(key)
        picker.assert_picked(levels[level])
    assert picker.page.evaluate("app.canvas.ds.scale") == scale, "over a pick the wheel does not zoom"
    picker.run()
    assert (picker.masks()[0] == np.isin(labels, list(levels[1]))).all()


def test_a_box_picks_what_lies_mostly_in_it(picker):
    (labels,) = picker.labels()
    height, width = labels.shape
    for (x1, y1, x2, y2), undo in (((0, 0, width - 1, height // 2), True), ((4, 4, 9, 9), False)):
        picker.press("box")  # an undo makes the node anew, which paints
        picker.drag(picker.on_page(labels.shape, y2, x1), picker.on_page(labels.shape, y1, x2))  # any corner first
        around = (x1, y1, x2 + 1, y2 + 1)
        assert numbers(picker.picked) == set(select_in_boxes(torch.from_numpy(labels), [around]))
        if undo:
            picker.undo()
    picker.page.keyboard.press("b")  # back to painting
    picker.press("clear")
    picker.click(labels, 1)
    assert picker.picked == "1"


@two_ways
def test_grow_feather_and_holes_are_shown_at_once_as_the_node_makes_them(picker):
    mask = torch.from_numpy(np.random.default_rng(0).random((40, 60)) < 0.6)
    for edge in (Edge(2), Edge(-1, 3.0), Edge(0, 2.5, True)):
        sides = {"grow": edge.grow, "feather": edge.feather, "fillHoles": edge.fill_holes}
        drawn = picker.page.evaluate(EDGED, [EXTENSION, mask.int().flatten().tolist(), 60, 40, sides])
        assert np.allclose(np.reshape(drawn, (40, 60)), edged(mask, edge).numpy(), atol=1e-5)
    (labels,) = picker.labels()
    chosen = int(np.argsort(np.bincount(labels.ravel()))[-3])
    picker.click(labels, chosen)
    plain = picker.page.evaluate(DRAWN_IN_PICTURE)
    picker.set("EmerDiffSelectSegments", "grow", 8)
    picker.page.wait_for_function(f"(plain) => ({DRAWN_IN_PICTURE}) !== plain", arg=plain, timeout=3000)
    picker.run()
    assert (picker.masks()[0] == (edged(torch.from_numpy(labels == chosen), Edge(8)).numpy() > 0.5)).all()


@two_ways
def test_the_picture_can_be_picked_in_by_the_keyboard(picker):
    (labels,) = picker.labels()
    picker.page.locator(CANVAS).focus()
    picker.page.keyboard.press("ArrowDown")
    tip = picker.page.locator(".emerdiff-tip").inner_text()
    picker.page.keyboard.press("Enter")
    assert tip.startswith(f"segment {picker.picked},")
    seen = {picker.picked}
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        picker.page.keyboard.press(key)
        seen.add(picker.page.locator(".emerdiff-tip").inner_text().split()[1].strip(","))
    assert len(seen) > 2, "the arrows go from segment to segment"
    picker.page.keyboard.press("Delete")
    assert picker.selection == "" and picker.page.evaluate(f"Boolean({SELECT})"), "the node stays"
