"""Picking segments by clicking in the picture, in the classic canvas and in the Vue nodes."""

import json
from pathlib import Path

import numpy as np
import pytest
from front_end import EXTENSION, numbers
from ways import classic_own, other_two_ways, two_ways, vue_newest, vue_own

from measure.metrics import interior

CANVAS = ".emerdiff-stage canvas"
CASES = json.loads((Path(__file__).parent.parent / "texts.json").read_text())
READ_TEXTS = """async ([cases, extension]) => {
  const inOrder = (one, other) => Number.isInteger(other) - Number.isInteger(one) || one - other
  const { readSelection } = await import(extension + "js/selection_text.js")
  const { readPoints } = await import(extension + "js/points_text.js")
  const numbers = ({ text, counts }) => readSelection(text, counts).lists.map((list) => [...list].sort(inOrder))
  const points = ({ text, sizes, first_alone: alone }) =>
    readPoints(text, sizes.map(([width, height]) => ({ width, height })), Boolean(alone))
      ?.map((list) => list.map(({ x, y }) => [x, y])) ?? null
  return { selections: cases.selections.map(numbers), points: cases.points.map(points) }
}"""


def crossed(labels: np.ndarray, row: int) -> set[int]:
    return set(labels[row].tolist())


def most_crossed(labels: np.ndarray) -> int:
    """A row that crosses many segments, the same ones as the rows beside it."""
    rows = [crossed(labels, row) for row in range(len(labels))]
    steady = [row for row in range(2, len(rows) - 2) if all(each == rows[row] for each in rows[row - 2 : row + 3])]
    return max(steady, key=lambda row: len(rows[row]))


@classic_own
def test_the_widget_reads_texts_as_the_node_does(front_end):
    """The cases of tests/pure/test_texts.py; what the node refuses, the widget does not show."""
    read = front_end.page.evaluate(READ_TEXTS, [CASES, EXTENSION])
    for kind in ("selections", "points"):
        wanted = [case.get("lists") for case in CASES[kind]]
        for case, found, lists in zip(CASES[kind], read[kind], wanted, strict=True):
            assert found == lists or (kind == "selections" and lists is None), case


@two_ways
def test_before_the_first_run_it_says_what_to_do(front_end):
    front_end.make_graph()
    assert "Run once" in front_end.page.locator(".emerdiff-hint").inner_text()
    assert not front_end.page.locator(CANVAS).is_visible()


@pytest.mark.parametrize("zoom", [pytest.param(0.5, marks=other_two_ways), 1.3])
def test_a_click_selects_the_segment_under_it_and_the_mask_is_that_segment(picker, zoom):
    assert picker.outputs("PreviewImage") is None  # with nothing selected nothing runs behind it
    picker.look(zoom)
    (labels,) = picker.labels()
    chosen = int(np.argsort(np.bincount(labels.ravel()))[-3])
    picker.click(labels, chosen)
    assert picker.picked == str(chosen)
    picker.run()
    assert (picker.masks()[0] == (labels == chosen)).all()
    assert picker.status.startswith("1 of 6 segments")
    picker.click(labels, chosen)
    assert picker.selection == ""


@two_ways
def test_hovering_shows_number_and_area(picker):
    (labels,) = picker.labels()
    picker.page.mouse.move(*picker.point(labels, 0))
    tip = picker.page.locator(".emerdiff-tip")
    assert tip.inner_text().startswith(f"segment 0, {100 * (labels == 0).mean():.1f}%")
    picker.page.mouse.move(5, 5)
    assert not tip.is_visible()


def ends_of_row(picker, labels: np.ndarray, row: int) -> list[tuple[float, float]]:
    return [picker.on_page(labels.shape, row, column) for column in (0, labels.shape[1] - 1)]


def drag_whole(picker, labels: np.ndarray, row: int) -> None:
    """Over a row, with Ctrl: what it crosses is picked in whole."""
    picker.page.keyboard.down("Control")
    picker.drag(*ends_of_row(picker, labels, row))
    picker.page.keyboard.up("Control")


def test_a_drag_paints_all_it_crosses_and_one_undo_takes_it_back(picker):
    (labels,) = picker.labels()
    row = most_crossed(labels)
    drag_whole(picker, labels, row)
    assert numbers(picker.picked) == crossed(labels, row) and len(crossed(labels, row)) > 2
    for _ in range(2):
        picker.undo()
        assert picker.selection == "" and picker.status == "click what you want, then run again"
        picker.undo("Control+y")
        assert numbers(picker.picked) == crossed(labels, row)
        assert picker.status.startswith(f"{len(crossed(labels, row))} of 6")
    picker.notice()  # it was made anew, and may have moved
    drag_whole(picker, labels, row)  # from a selected segment: removes
    assert picker.selection == ""


def segments(picker) -> set[int]:
    """Of which segments something is picked."""
    pieces = picker.picked.replace(" ", "").split(",")
    return numbers(",".join(piece.split(":")[0] for piece in pieces))


def touch(page, *places: tuple[float, float]) -> None:
    """A finger put down at the first place, moved over the others, and lifted."""
    session = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(places):
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


@two_ways
def test_a_finger_picks_and_paints_and_shows_no_tip(picker):
    (labels,) = picker.labels()
    touch(picker.page, picker.point(labels, 3))
    assert segments(picker) == {3}
    touch(picker.page, picker.point(labels, 3))
    assert picker.selection == ""
    row = most_crossed(labels)
    touch(picker.page, *ends_of_row(picker, labels, row))
    assert segments(picker) == crossed(labels, row)
    assert not picker.page.locator(".emerdiff-tip").is_visible()


@two_ways
def test_buttons_and_text_fields_work_with_the_clicks(picker):
    picker.press("all")
    assert picker.picked == "0-5" and "100.0%" in picker.status
    picker.set("EmerDiffSelectSegments", "selection", "1, 3")
    picker.page.locator(".emerdiff-status", has_text="2 of 6").wait_for(timeout=2000)
    picker.set("EmerDiffSelectSegments", "invert", True)
    picker.page.locator(".emerdiff-status", has_text="4 of 6").wait_for(timeout=2000)
    (labels,) = picker.labels()
    picker.click(labels, 2)  # in the mask, because it is not in the numbers
    assert picker.picked == "1-3"
    picker.press("clear")
    assert picker.selection == ""


@vue_newest
def test_a_changed_segmentation_is_said_until_the_picks_are_kept(picker):
    (labels,) = picker.labels()
    picker.click(labels, 1)
    old = picker.selection
    picker.set("EmerDiffSegmentImage", "seed", 5)
    picker.run()
    banner = picker.page.locator(".emerdiff-banner")
    banner.wait_for(timeout=5000)
    picker.shot("changed")
    assert picker.selection == old and picker.masks().any()
    picker.press("keep")
    assert picker.picked == "1" and picker.selection != old and not banner.is_visible()


@two_ways
def test_a_batch_has_a_pager_and_a_list_a_picture(front_end):
    front_end.make_graph(pictures=2)
    front_end.run()
    front_end.wait_for_picture()
    first, second = front_end.labels()
    front_end.click(first, 2)
    front_end.press("\u203a")
    front_end.wait_for_picture()
    front_end.click(second, 1)
    assert front_end.picked == "2; 1"
    front_end.run()
    masks = front_end.masks()
    assert (masks[0] == (first == 2)).all() and (masks[1] == (second == 1)).all()
    assert front_end.page.locator(".emerdiff-pager").inner_text().split() == ["\u2039", "2", "/", "2", "\u203a"]


@classic_own
def test_what_is_clicked_in_one_picture_is_picked_in_all(front_end):
    front_end.make_graph(pictures=2)
    front_end.set("EmerDiffSelectSegments", "every_picture", True)
    front_end.run()
    front_end.wait_for_picture()
    first, second = front_end.labels()
    front_end.click(first, 2)
    assert front_end.picked == "2"
    front_end.press("\u203a")
    front_end.wait_for_picture()
    assert front_end.status.startswith("1 of 6")
    front_end.click(second, 1)
    assert front_end.picked == "1-2"
    front_end.click(second, 2)
    front_end.click(second, 4, "Shift")
    assert front_end.picked == "1" and front_end.points("positive") == [[], [middle(second, 4)]]
    front_end.run()
    for masks, labels in zip(front_end.masks(), (first, second)):
        assert (masks == np.isin(labels, [1, 4])).all()
    front_end.press("\u2039")
    front_end.wait_for_picture()
    assert front_end.status.startswith("2 of 6")  # what the point on the other page is on, too


def middle(labels: np.ndarray, number: int) -> dict[str, int]:
    row, column = interior(labels == number)
    return {"x": column, "y": row}


@two_ways
def test_with_a_key_a_click_sets_points_and_the_mask_is_their_segments(picker):
    (labels,) = picker.labels()
    picker.click(labels, 3, "Shift")
    assert picker.points("positive") == [middle(labels, 3)] and picker.selection == ""
    assert picker.status.startswith("1 of 6 segments") and picker.status.endswith("with the points")
    picker.click(labels, 1)
    picker.click(labels, 2, "Alt")
    assert picker.points("negative") == [middle(labels, 2)]
    picker.click(labels, 0, button="right")
    assert picker.points("negative") == [middle(labels, 2), middle(labels, 0)]
    assert not picker.page.locator(".litecontextmenu, .p-contextmenu").is_visible()
    picker.click(labels, 0, button="right")
    picker.shot("points")
    picker.press("all")
    picker.run()
    assert (picker.masks()[0] == (labels != 2)).all()
    picker.wait_for_picture()
    picker.click(labels, 2, "Shift")  # on the point itself, whichever key is held
    assert picker.points("negative") == [] and len(picker.points("positive")) == 1
    picker.press("clear")
    assert picker.points("positive") == [] and picker.selection == ""
    assert "Shift+click" in picker.page.locator(".emerdiff-keys").inner_text()


@other_two_ways
def test_one_undo_takes_a_point_back(picker):
    (labels,) = picker.labels()
    picker.click(labels, 3, "Shift")
    picker.undo(text=json.dumps(picker.points("positive"), separators=(",", ":")))
    assert picker.points("positive") == [] and picker.status == "click what you want, then run again"


@vue_newest
def test_a_point_is_for_the_picture_it_was_set_in(front_end):
    front_end.make_graph(pictures=2)
    front_end.set("EmerDiffSelectSegments", "positive_points", '[{"x": 5, "y": 5}]')  # in every picture
    front_end.run()
    front_end.wait_for_picture()
    first, second = front_end.labels()
    chosen = int(np.argsort(np.bincount(second.ravel()))[-1 - (second[5, 5] == np.bincount(second.ravel()).argmax())])
    front_end.press("\u203a")
    front_end.wait_for_picture()
    front_end.click(second, chosen, "Shift")
    assert front_end.points("positive") == [[{"x": 5, "y": 5}], [{"x": 5, "y": 5}, middle(second, chosen)]]
    front_end.run()
    masks = front_end.masks()
    assert (masks[0] == (first == first[5, 5])).all()
    assert (masks[1] == np.isin(second, [second[5, 5], chosen])).all()


@classic_own
def test_points_that_come_from_a_link_or_cannot_be_read_stay_as_they_are(picker):
    (labels,) = picker.labels()
    picker.set("EmerDiffSelectSegments", "negative_points", "what is this")
    picker.click(labels, 1, "Alt")
    assert picker.status == "negative_points cannot be read"
    picker.set("EmerDiffSelectSegments", "negative_points", "")


@classic_own
def test_until_a_turned_page_has_come_the_picture_is_dimmed_and_takes_no_clicks(front_end):
    front_end.make_graph(pictures=2)
    front_end.set("EmerDiffSegmentImage", "seed", 9)  # pictures the widget has not seen
    front_end.run()
    front_end.wait_for_picture()
    first, second = front_end.labels()
    with front_end.slow_pictures():
        front_end.press("\u203a")
        assert front_end.page.locator(f"{CANVAS}[aria-busy=true]").count() == 1
        for inverted in (True, False):  # the widget looks again, and draws nothing new
            front_end.set("EmerDiffSelectSegments", "invert", inverted)
            front_end.page.wait_for_timeout(300)
        front_end.click(first, 1)
        assert front_end.selection == ""
        front_end.wait_for_picture()
    front_end.click(second, 1)
    assert front_end.picked == "; 1"


@two_ways
def test_another_tab_and_back_shows_the_picture_again(picker):
    (labels,) = picker.labels()
    picker.click(labels, 0)
    picker.another_tab_and_back()
    picker.wait_for_picture()
    assert picker.picked == "0" and picker.status.startswith("1 of 6")


@vue_own
def test_after_the_page_is_loaded_again_the_selection_is_there(picker):
    (labels,) = picker.labels()
    picker.click(labels, 3)
    text = picker.selection
    picker.page.wait_for_timeout(1500)  # the front end keeps drafts a moment after a change
    picker.load_again()
    assert picker.selection == text
    assert f"Picked so far: {text}" in picker.page.locator(".emerdiff-hint").inner_text()
    picker.shot("loaded_again")
    picker.run()
    picker.wait_for_picture()
    assert (picker.masks()[0] == (labels == 3)).all()
