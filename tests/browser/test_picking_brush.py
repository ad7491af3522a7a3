"""Correcting the mask by brush, in the front end's own mask editor."""

from front_end import SELECT
from ways import two_ways, vue_newest

EDITOR = ".mask-editor-dialog, [role=dialog]:has(#maskEditorCanvasContainer), .p-dialog:has(#maskEditorCanvasContainer)"
CORRECTION = f"{SELECT}.widgets.find((each) => each.name === 'correction').value"
STROKE = (100, 64, 90)  # row, from column to column of the scene of 128 pixels


def paint(picker, then: str) -> None:
    """Opens the editor, paints a stroke, and presses one of its buttons."""
    picker.press("brush")
    page, canvas = picker.page, picker.page.locator("#maskEditorCanvasContainer")
    canvas.wait_for(timeout=30_000)
    page.wait_for_timeout(2000)
    box, (row, first, last) = canvas.bounding_box(), STROKE
    places = [
        (box["x"] + column * box["width"] / 128, box["y"] + row * box["height"] / 128) for column in (first, last)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    picker.shot("mask_editor")
    page.locator(EDITOR).get_by_text(then, exact=True).first.click()
    canvas.wait_for(state="detached", timeout=30_000)


def correction(picker) -> str:
    return picker.page.evaluate(CORRECTION)


@two_ways
def test_what_is_painted_in_the_mask_editor_comes_back(picker):
    (labels,) = picker.labels()
    chosen = int(labels[0, 0])
    picker.click(labels, chosen)
    before = picker.outputs("EmerDiffSelectSegments")["images"]
    paint(picker, "Save")
    picker.page.wait_for_function(f"{CORRECTION} !== ''", timeout=20_000)
    assert picker.picked == str(chosen) and picker.outputs("EmerDiffSelectSegments")["images"] == before
    picker.page.locator(".emerdiff-status", has_text="corrected by brush").wait_for()
    picker.run()
    (mask,), (row, first, last) = picker.masks(), STROKE
    added = mask & (labels != chosen)
    assert mask[labels == chosen].all() and added[row, first + 2 : last - 2].all() and not added[: row - 20].any()
    picker.page.evaluate("async () => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
    picker.run()
    picker.page.locator(".emerdiff-status", has_text="corrected by brush").wait_for()
    assert (picker.masks()[0] == mask).all(), "saved and loaded, the workflow has the correction"
    picker.wait_for_picture()
    picker.click(labels, chosen)
    assert picker.selection == "" and picker.status == "painted by brush", "a correction stays as picks change"
    picker.press("no brush")
    assert correction(picker) == ""


@vue_newest
def test_an_editor_that_is_closed_without_saving_changes_nothing(picker):
    (labels,) = picker.labels()
    picker.click(labels, 2)
    text = picker.selection
    paint(picker, "Cancel")
    picker.page.wait_for_timeout(500)
    assert correction(picker) == "" and picker.selection == text
    assert not picker.page.locator(".emerdiff-picker button", has_text="no brush").is_visible()
