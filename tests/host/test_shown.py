"""What browsers are shown: files that are drawn once, from what they are named by; and Cancel while they are drawn."""

import comfy.utils
import pytest
import torch
from cancelling import calls_until_cancelled
from emerdiff.nodes import results
from emerdiff.nodes.host.progress import AT_ONCE
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps import select, shown
from emerdiff.nodes.steps.values import Segmentation
from PIL import Image

FRAMES, HEIGHT, WIDTH = 4, 64, 96


@pytest.fixture
def clip():
    """A segmentation of four different pictures and the pictures, no two alike."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(3, (FRAMES, 4, 6), generator=generator).to(torch.int16)
    labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
    return Segmentation(labels, 3), torch.rand(FRAMES, HEIGHT, WIDTH, 3, generator=generator)


@pytest.fixture
def drawn(monkeypatch):
    """How many pictures were drawn with their numbers since the last look."""
    calls = []
    monkeypatch.setattr(shown, "overlay", lambda *given, **others: calls.append(given) or overlay(*given, **others))
    return calls


overlay = shown.overlay


def click(clip, text, image="its own"):
    segmentation, pictures = clip
    return EmerDiffSelectSegments.execute([segmentation], [text], image=[pictures if image == "its own" else image]).ui


def files(folders) -> dict:
    return {path: path.stat().st_mtime_ns for path in (folders / "temp").rglob("*") if path.is_file()}


def test_a_click_draws_and_writes_nothing_where_no_picture_changed(clip, folders, drawn):
    first, there = click(clip, "1"), files(folders)
    assert len(there) == 4 * FRAMES and len(drawn) == FRAMES
    second = click(clip, "0; 2")
    assert files(folders) == there and len(drawn) == FRAMES
    assert second["images"] == first["images"]
    assert click((clip[0], clip[1].clone()), "1")["images"] == first["images"]  # the contents count


def test_only_a_changed_picture_is_drawn_anew(clip, folders, drawn):
    first, there = click(clip, "1"), files(folders)
    clip[1][2, 30, 40, 1] += 0.01  # numbered picture and picture
    second = click(clip, "1")
    new = set(files(folders)) - set(there)
    assert [one == other for one, other in zip(first["images"], second["images"])] == [True, True, False, True]
    assert len(new) == 2 and len(drawn) == FRAMES + 1
    clip[0].labels[1, 5, 5] += 1  # numbered picture, labels and parts
    click(clip, "1")
    assert len(set(files(folders)) - set(there)) == 5 and len(drawn) == FRAMES + 2


def test_a_removed_file_is_made_again(clip, folders):
    there = {path: path.read_bytes() for path in files(folders_after(clip, folders))}
    for path in there:
        path.unlink()
    click(clip, "2")
    assert {path: path.read_bytes() for path in files(folders)} == there
    (folders / "temp" / "emerdiff" / next(iter(there)).name).unlink()
    click(clip, "2")
    assert set(files(folders)) == set(there)


def folders_after(clip, folders):
    click(clip, "1")
    return folders


def test_the_numbered_picture_is_the_overlay(clip, folders):
    for image in (clip[1], None):
        one = click(clip, "1", image)["images"][0]
        under = shown.colorize(clip[0].labels[:1]) if image is None else image[:1]
        with Image.open(folders / "temp" / one["subfolder"] / one["filename"]) as picture:
            expected = Image.fromarray(shown.in_bytes(overlay(under, clip[0].labels[:1])[0]).numpy())
            assert picture.tobytes() == expected.tobytes()


def test_without_a_picture_the_colours_are_shown_and_drawn_once(clip, folders, drawn):
    first, there = click(clip, "1", None), files(folders)
    assert click(clip, "2", None)["images"] == first["images"] and files(folders) == there
    assert not {each["filename"] for each in first["images"]} & {
        each["filename"] for each in click(clip, "1")["images"]
    }


def test_label_maps_of_segmentations_are_drawn_once(clip, folders, drawn):
    first = results.segmentation_result(clip[0])
    again = results.segmentation_result(clip[0], make_masks=False)
    assert first.ui == again.ui and len(drawn) == FRAMES == len(files(folders))
    assert torch.equal(
        first.result[0], (clip[0].labels[:, None] == torch.arange(3)[:, None, None]).flatten(0, 1).float()
    )


@pytest.mark.parametrize("node", ["select", "segmentation"])
def test_cancel_is_heard_after_the_picture_that_is_being_drawn(clip, folders, monkeypatch, node):
    module, name, run = {
        "select": (select, "draw_highlight", lambda: click(clip, "1")),
        "segmentation": (results, "numbered_labels", lambda: results.segmentation_result(clip[0])),
    }[node]
    calls = calls_until_cancelled(monkeypatch, module, name, run)
    assert calls <= 3 + (AT_ONCE if node == "select" else 0)  # those that had begun


def test_pictures_count_in_the_progress_bar(clip, folders, monkeypatch):
    seen = []
    update = comfy.utils.ProgressBar.update_absolute
    monkeypatch.setattr(
        comfy.utils.ProgressBar,
        "update_absolute",
        lambda bar, value, *others, **named: seen.append((value, bar.total)) or update(bar, value, *others, **named),
    )
    click(clip, "1")
    assert seen == [(number, FRAMES) for number in range(1, FRAMES + 1)]
