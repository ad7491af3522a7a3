"""Wheel, boxes, edges and keys of the click widget, in the classic canvas and in the Vue nodes."""

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.boxes import select_in_boxes
from emerdiff.emerdiff_ops.segments.edge import Edge, edged
from front_end import EXTENSION, SELECT, numbers
from scipy import ndimage
from ways import classic_own, two_ways

from measure.metrics import interior

CANVAS = ".emerdiff-stage canvas"
EDGED = """async ([extension, inside, width, height, edge]) => {
  const { edged } = await import(extension + "js/edge.js")
  return [...edged(Uint8Array.from(inside), width, height, edge)]
}"""
PAINTED = """async ([extension, numbers, looks]) => {
  const { Painting } = await import(extension + "js/painting.js")
  const [width, height, count] = [40, 30, Math.max(...numbers) + 1]
  const picture = new OffscreenCanvas(width, height)
  Object.assign(picture.getContext("2d"), { fillStyle: "#357" }).fillRect(0, 0, width, height)
  const map = { picture, pieces: Uint16Array.from(numbers), width, height }
  const colors = Array.from({ length: count }, (_, piece) => "#" + String(100000 + 7919 * piece).slice(0, 6))
  const among = (pieces) => Array.from({ length: count }, (_, piece) => pieces.includes(piece))
  const shown = (painting, [selected, hovered, alpha]) => {
    const look = { selected: among(selected), hovered: among(hovered), inner: true }
    return [...painting.show(look, alpha && Float32Array.from(alpha)).data]
  }
  const kept = new Painting(map, colors, width, height)
  return looks.map((look) => [shown(kept, look), shown(new Painting(map, colors, width, height), look)])
}"""
DRAWN_IN_PICTURE = f"document.querySelector('{CANVAS}').toDataURL()"


def growth(labels: np.ndarray, tree: list, place: tuple[int, int]) -> list[np.ndarray]:
    """What a pick at a place may grow to, by the merges that the node sent: what is connected with the place."""
    owner, found = np.arange(labels.max() + 1), []
    for kept, gone in [(0, 0), *tree]:
        owner[owner == gone] = kept
        parts, _ = ndimage.label(owner[labels] == owner[labels[place]])
        if not found or (parts == parts[place]).sum() > found[-1].sum():
            found.append(parts == parts[place])
    return found


def test_the_wheel_over_a_pick_makes_it_larger_and_smaller(with_specks):
    """Segments have parts at other ends of the picture, which the wheel leaves out."""
    picker = with_specks
    (labels,) = picker.labels()
    (entry,) = picker.outputs("EmerDiffSelectSegments")["emerdiff_segments"]
    place = interior(labels == int(np.argsort(np.bincount(labels.ravel()))[-3]))
    levels, mouse = growth(labels, entry["tree"], place), picker.page.mouse
    assert len(levels) > 3 and levels[-1].all()
    scale = picker.page.evaluate("app.canvas.ds.scale")
    mouse.click(*picker.on_page(labels.shape, *place))

    def assert_shown(level: int) -> None:
        share = f", {100 * levels[level].mean():.1f}%"
        picker.page.locator(".emerdiff-status", has_text=share).wait_for(timeout=5000)

    assert_shown(0)
    for turn, level in ((-100, 1), (-30, 1), (-30, 2), (100, 1), (100, 0), (100, 0)):
        mouse.wheel(0, turn)
        assert_shown(level)
    for key, level in (("]", 1), ("]", 2), ("[", 1)):
        picker.page.keyboard.press(key)
        assert_shown(level)
    assert picker.page.evaluate("app.canvas.ds.scale") == scale, "over a pick the wheel does not zoom"
    picker.run()
    assert (picker.masks()[0] == levels[1]).all()


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


@classic_own
def test_painting_what_changed_gives_what_painting_all_gives(front_end):
    random = np.random.default_rng(0)
    numbers = np.kron(random.integers(0, 9, (6, 8)), np.ones((5, 5), int)).flatten().tolist()
    masks = [random.random(1200).round(1).tolist() for _ in range(2)]
    looks = [([], [], None), ([], [3], None), ([2], [3], None), ([2, 5], [], None), ([2], [5], masks[0])]
    looks += [([2], [4], masks[1]), ([2], [4], None), ([], [], None)]
    pairs = front_end.page.evaluate(PAINTED, [EXTENSION, numbers, looks])
    assert all(kept == anew for kept, anew in pairs)
    assert len({tuple(kept) for kept, _ in pairs}) == len(looks) - 1, "only the first and the last look the same"


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
