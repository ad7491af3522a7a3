"""A click takes the connected part of a segment, with Ctrl all of it."""

import numpy as np
import pytest
from scipy import ndimage
from ways import other_two_ways, two_ways, vue_newest

from measure.metrics import interior

CANVAS = ".emerdiff-stage canvas"


@pytest.fixture
def picker(with_specks):
    return with_specks


def largest_parts(labels: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """The segment whose second part is largest, and its two largest parts."""
    found = []
    for number in np.unique(labels):
        parts, count = ndimage.label(labels == number)
        first, second = (parts == each for each in [*np.argsort(-np.bincount(parts.ravel())[1:]) + 1, count + 1][:2])
        found.append((number, first, second))
    return max(found, key=lambda each: each[2].sum())


@two_ways
def test_a_click_takes_the_part_and_with_ctrl_the_segment(picker):
    (labels,) = picker.labels()
    number, first, second = largest_parts(labels)

    def place(part: np.ndarray) -> tuple[float, float]:
        """Asked for anew after every run, as the node may have moved."""
        return picker.on_page(labels.shape, *interior(part))

    picker.page.mouse.move(*place(second))
    share = f"this part {100 * second.mean():.1f}%"
    assert picker.page.locator(".emerdiff-tip").inner_text().endswith(share)
    picker.page.mouse.click(*place(second))
    picker.shot("part")
    assert picker.picked.startswith(f"{number}:") and picker.status.startswith(
        f"1 of 6 segments, {100 * second.mean():.1f}%"
    )
    picker.run()
    assert (picker.masks()[0] == second).all()
    picker.wait_for_picture()
    picker.page.mouse.click(*place(first))
    picker.run()
    assert (picker.masks()[0] == first | second).all()
    picker.wait_for_picture()
    picker.page.keyboard.down("Control")
    picker.page.mouse.click(*place(second))  # out, with all the segment has
    without = picker.selection
    picker.page.mouse.click(*place(second))
    picker.page.keyboard.up("Control")
    assert without == "" and picker.picked == str(number), "all parts are the segment"
    picker.page.mouse.click(*place(second))
    picker.run()
    assert (picker.masks()[0] == (labels == number) & ~second).all()


@other_two_ways
def test_an_undo_takes_a_click_on_a_part_back_and_enter_takes_the_segment(picker):
    (labels,) = picker.labels()
    number, _, second = largest_parts(labels)
    picker.page.mouse.click(*picker.on_page(labels.shape, *interior(second)))
    part = picker.picked
    picker.undo()
    assert picker.selection == ""
    picker.undo("Control+y")
    assert picker.picked == part
    picker.notice()
    picker.press("clear")
    picker.page.locator(CANVAS).focus()
    picker.page.mouse.move(*picker.on_page(labels.shape, *interior(second)))
    picker.page.keyboard.press("Enter")
    assert picker.picked == str(number), "Enter takes all of the segment"


@vue_newest
def test_keeping_picks_leaves_out_parts_that_are_gone(picker):
    (labels,) = picker.labels()
    number, _, second = largest_parts(labels)
    row, column = interior(second)
    elsewhere = next(each for each in range(6) if each != number)
    gone = f"{elsewhere}:{column}:{row}"  # a part of a segment that is not there
    picker.set("EmerDiffSelectSegments", "selection", f"{number}:{column}:{row}, {gone} @00000000")
    picker.run()
    picker.wait_for_picture()
    picker.press("keep")
    fingerprint = picker.outputs("EmerDiffSelectSegments")["emerdiff_segments"][0]["fingerprint"]
    assert picker.selection == f"{number}:{column}:{row} @{fingerprint}"
    picker.run()
    assert (picker.masks()[0] == second).all()
