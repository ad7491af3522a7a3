"""Selecting segments, and values that go to a file and back."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from emerdiff.emerdiff_ops.files import safetensors_file
from emerdiff.emerdiff_ops.segments.labels import fingerprint
from emerdiff.nodes import EmerDiffExtension
from emerdiff.nodes.check import EmerDiffCheck
from emerdiff.nodes.load import EmerDiffLoad
from emerdiff.nodes.save import EmerDiffSave
from emerdiff.nodes.segment_image import EmerDiffSegmentImage
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps import shown, values
from emerdiff.nodes.steps.values import Segmentation
from PIL import Image

from comfyui.in_process import execute


@pytest.fixture
def segmentation():
    labels = torch.zeros(2, 6, 8, dtype=torch.int16)
    labels[:, :3, 4:], labels[:, 3:, :4] = 1, 2
    return Segmentation(labels, 4)


def run(node, **inputs):
    return execute(node, **inputs).result


def test_selection_by_number_and_point(segmentation):
    mask, overlay = run(
        EmerDiffSelectSegments, segmentation=segmentation, selection="1", positive_points='[{"x": 0, "y": 5}]'
    )
    assert mask.shape == (2, 6, 8) and mask.dtype == torch.float32
    assert torch.equal(mask, (segmentation.labels > 0).float())
    assert overlay.shape == (2, 6, 8, 3)


def test_segments_that_lie_mostly_in_a_box_are_added(segmentation):
    boxes = [[{"x": 4, "y": 0, "width": 4, "height": 2, "label": "0"}], [(4, 0, 8, 3)]]
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, selection="2", boxes=boxes)
    assert torch.equal(mask, (segmentation.labels > 0).float())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"selection": "4"}, '"4" selects no segments'),
        ({"selection": "1; 2; 3"}, "3 lists"),
        ({"selection": "; 0:4:0"}, '"0:4:0" is no part of picture 1 of 8 x 6: .* click it anew'),
        ({"selection": "2:0:6;"}, '"2:0:6" is no part of picture 0'),
        ({"negative_points": "{"}, "a point must look like"),
        ({"selection": "1", "image": torch.zeros(2, 5, 8, 3)}, "connect the image that was segmented"),
    ],
)
def test_bad_selections_say_what_is_possible(segmentation, inputs, message):
    with pytest.raises(ValueError, match=message):
        run(EmerDiffSelectSegments, segmentation=segmentation, **inputs)


def test_a_batch_takes_one_list_a_picture(segmentation):
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, selection="1; 0, 2")
    assert torch.equal(mask[0], (segmentation.labels[0] == 1).float())
    assert torch.equal(mask[1], (segmentation.labels[1] != 1).float())


def test_a_part_is_what_is_connected_with_its_place(segmentation):
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, selection="0:1:2; 2, 0:7:5")
    assert mask[0].sum() == 12 and mask[0, :3, :4].all() and mask[1].sum() == 24 and mask[1, 3:].all()
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, selection="0:1:2;", every_picture=True)
    assert torch.equal(mask, (segmentation.labels == 0).float()), "a part of one picture means its segment in others"


def test_parts_of_another_segmentation_that_are_gone_are_left_out(segmentation):
    output = execute(EmerDiffSelectSegments, segmentation=segmentation, selection="0:7:5, 0:4:0, 1:9:9 @00000000")
    assert torch.equal(output.result[0], (segmentation.labels == 0).float() * (torch.arange(8) > 3))
    assert "has changed" in output.ui["text"][0]
    for entry in output.ui["emerdiff_segments"]:
        assert entry["gone"] == ["0:4:0", "1:9:9"] and entry["used"]["selection"] == "0:7:5 @00000000"


def painted(folders, name: str, opaque: int = 255) -> None:
    """A picture of the input folder: the upper row white, the rest black, and only the left half opaque."""
    pixels = np.zeros((6, 8, 4), np.uint8)
    pixels[0, :, :3], pixels[:, :4, 3] = 255, opaque
    (folders / "input" / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folders / "input" / name)


def test_a_correction_is_the_mask_where_it_is_opaque(segmentation, folders):
    painted(folders, "emerdiff/a.png")
    output = execute(EmerDiffSelectSegments, segmentation=segmentation, selection="0", correction="emerdiff/a.png;")
    first, second = (segmentation.labels == 0).float()
    first[:, :4] = 0
    first[0, :4] = 1
    assert torch.equal(output.result[0], torch.stack([first, second])) and output.ui["text"] == []
    alone = run(EmerDiffSelectSegments, segmentation=segmentation, correction="emerdiff/a.png")[0]
    assert alone.sum() == 2 * 4, "a correction needs no pick"


def test_a_correction_of_another_picture_is_left_out_and_said(segmentation, folders):
    painted(folders, "b.png")
    Image.new("L", (9, 3)).save(folders / "input" / "wide.png")
    given = {"segmentation": segmentation, "selection": "1", "image": torch.rand(2, 6, 8, 3)}
    plain = execute(EmerDiffSelectSegments, **given)
    marks = [entry["mark"] for entry in plain.ui["emerdiff_segments"]]
    mine = execute(EmerDiffSelectSegments, **given, correction=f"b.png @{marks[0]}; b.png @{marks[1]}")
    assert mine.ui["text"] == [] and not torch.equal(mine.result[0], plain.result[0])
    for text in (f"b.png @{marks[1]}; b.png @{marks[0]}", "wide.png"):
        other = execute(EmerDiffSelectSegments, **given, correction=text)
        assert torch.equal(other.result[0], plain.result[0]) and "made on another picture" in other.ui["text"][0]


@pytest.mark.parametrize("name", ["missing.png", "../outside.png", "text.png", "a.png; ; b.png"])
def test_a_correction_that_cannot_be_read_is_refused(segmentation, folders, name):
    (folders / "outside.png").write_bytes(b"")
    (folders / "input").mkdir(exist_ok=True)
    (folders / "input" / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="no picture|not inside|files for 3 pictures"):
        run(EmerDiffSelectSegments, segmentation=segmentation, selection="1", correction=name)


@pytest.mark.parametrize("selection", ["", " ; ", "9 @00000000", "0:4:0 @00000000"])
def test_with_nothing_selected_nothing_downstream_runs_and_the_node_says_why(segmentation, selection, caplog):
    output = execute(EmerDiffSelectSegments, segmentation=segmentation, selection=selection)
    assert [type(each) for each in output.result] == [ExecutionBlocker] * 2
    assert all(each.message is None for each in output.result)  # a message would open a dialog
    assert "click segments" in output.ui["text"][-1] and "click segments" in caplog.text
    assert len(output.ui["images"]) == len(output.ui["emerdiff_segments"]) == 2


def test_picks_of_another_segmentation_are_used_and_said(segmentation, caplog):
    def masks_and_texts(selection):
        output = execute(EmerDiffSelectSegments, segmentation=segmentation, selection=selection)
        return output.result[0], output.ui["text"]

    mask, texts = masks_and_texts("1, 3-9 @00000000")
    assert torch.equal(mask, (segmentation.labels == 1).float())  # no segment has the numbers beyond
    assert "has changed" in texts[0] and "has changed" in caplog.text
    assert masks_and_texts(f"1 @{fingerprint(segmentation.labels)}")[1] == masks_and_texts("1")[1] == []


def test_the_browser_gets_picture_and_labels_as_files_of_the_same_size(segmentation, folders, monkeypatch):
    monkeypatch.setattr(shown, "LARGEST_SIDE", 4)
    image = torch.rand(2, 6, 8, 4).half()  # RGBA, in half precision
    output = execute(EmerDiffSelectSegments, segmentation=segmentation, selection="1", image=image)
    entries = json.loads(json.dumps(output.ui["emerdiff_segments"]))
    assert len(entries) == 2 and (entries[0]["width"], entries[0]["height"]) == (8, 6)
    assert entries[0]["areas"] == [0.5, 0.25, 0.25, 0]
    for entry, labels in zip(entries, segmentation.labels):
        names = [entry[kind]["filename"] for kind in ("picture", "labels", "parts")]
        picture, colours, parts = (Image.open(folders / "temp" / "emerdiff" / name) for name in names)
        assert picture.size == colours.size == parts.size == (4, 3)
        assert (np.asarray(parts)[..., 0] >> 3).tolist() == [[1, 1, 3, 3], [4, 4, 2, 2], [4, 4, 2, 2]]
        assert (np.asarray(colours)[..., 0] >> 3 == labels[1::2, 1::2].numpy()).all()
    again = execute(EmerDiffSelectSegments, segmentation=segmentation, selection="0", image=image)
    files = [[entry[kind] for kind in ("picture", "labels")] for entry in again.ui["emerdiff_segments"]]
    assert files == [[entry[kind] for kind in ("picture", "labels")] for entry in entries]  # nothing is loaded anew


def two(rows: int, count: int) -> Segmentation:
    """A segmentation of one picture: segment 0 above, 1 below on the left and 2 on the right."""
    labels = torch.zeros(1, rows, 8, dtype=torch.int16)
    labels[:, 2:, :4], labels[:, 2:, 4:] = 1, 2
    return Segmentation(labels, count)


def masks_of_a_list(segmentations, **lists) -> tuple[list, dict]:
    """What the host gets from lists: for each element the segments of its mask, None where it was blocked; the ui."""
    output = EmerDiffSelectSegments.execute(segmentations, **lists)
    found = []
    for mask, overlay, each in zip(*output.result, segmentations * 9):
        assert isinstance(mask, ExecutionBlocker) == isinstance(overlay, ExecutionBlocker)
        blocked = isinstance(mask, ExecutionBlocker)
        found.append(None if blocked else [set(one[part > 0].tolist()) for one, part in zip(each.labels, mask)])
    return found, output.ui


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1; 2; 4", [[{1}], [{2}, set()]]),  # the third picture's segments are nine, but none is number 4
        ("0-1; ; 0, 2", [[{0, 1}], [set(), {0, 2}]]),
        ("2", [[{2}], [{2}, {2}]]),
        ("1", [[{1}], [{1}, {1}]]),
        ("1;", [[{1}], None]),
        ("; 1", [None, [{1}, set()]]),
        (" ; ", [None, None]),
    ],
)
def test_one_text_has_a_list_for_each_picture_of_a_list_of_batches(text, found):
    pair = two(6, 9)
    pair = Segmentation(pair.labels.repeat(2, 1, 1), 9)
    masks, ui = masks_of_a_list([two(4, 3), pair], selection=[text])
    assert masks == found
    assert len(ui["images"]) == len(ui["emerdiff_segments"]) == 3
    assert [(entry["height"], len(entry["colors"])) for entry in ui["emerdiff_segments"]] == [(4, 3), (6, 9), (6, 9)]
    assert len({entry["fingerprint"] for entry in ui["emerdiff_segments"]}) == 1


def test_several_texts_go_to_their_own_elements_and_the_last_goes_on():
    masks, _ = masks_of_a_list([two(4, 3)] * 3, selection=["1", "2"], invert=[False])
    assert masks == [[{1}], [{2}], [{2}]]
    masks, _ = masks_of_a_list([two(4, 3)] * 2, positive_points=['[{"x": 0, "y": 0}]'], selection=["1; 2"])
    assert masks == [[{0, 1}], [{0, 2}]]
    masks, _ = masks_of_a_list([two(4, 3)] * 2, invert=[False, True], selection=["1"])
    assert masks == [[{1}], [{0, 2}]]


def test_points_for_each_picture_of_a_list():
    first, second = [{"x": 0, "y": 0}], [{"x": 0, "y": 3}]
    for each in ([two(4, 3)] * 2, [Segmentation(two(4, 3).labels.repeat(2, 1, 1), 3)]):
        masks, ui = masks_of_a_list(each, positive_points=[json.dumps([first, second])])
        assert [found for element in masks for found in element] == [{0}, {1}]
        used = [json.loads(entry["used"]["positive_points"]) for entry in ui["emerdiff_segments"]]
        assert used == [first, second]
    assert masks_of_a_list([two(4, 3)] * 2, negative_points=[json.dumps([first, []])])[0] == [[{1, 2}], None]
    with pytest.raises(ValueError, match="points for 3 pictures, but 2"):
        masks_of_a_list([two(4, 3)] * 2, positive_points=["[[], [], []]"])


def test_boxes_for_each_picture_of_a_list():
    left, right = [0, 2, 4, 4], [4, 2, 8, 4]
    assert masks_of_a_list([two(4, 3)] * 2, boxes=[[[left], [right]]])[0] == [[{1}], [{2}]]
    assert masks_of_a_list([two(4, 3)] * 2, boxes=[[left], [right]])[0] == [[{1}], [{2}]]
    assert masks_of_a_list([two(4, 3)] * 2, boxes=[[right]])[0] == [[{2}], [{2}]]


def test_pictures_in_a_list_over_one_segmentation_and_none_at_all():
    pictures = [torch.zeros(1, 4, 8, 3), torch.ones(1, 4, 8, 3)]
    masks, ui = masks_of_a_list([two(4, 3)], selection=["1; 2"], image=pictures)
    assert masks == [[{1}], [{2}]] and len(ui["emerdiff_segments"]) == 2
    assert masks_of_a_list([], selection=["1"])[0] == []


def test_a_list_says_which_lists_are_too_many_and_what_it_leaves_out():
    with pytest.raises(ValueError, match="3 lists.*2 pictures"):
        masks_of_a_list([two(4, 3)] * 2, selection=["1; 2; 0"])
    _, ui = masks_of_a_list([two(4, 3)] * 3, selection=["; 1"])
    assert len(ui["text"]) == 1 and "1, 3 of the list" in ui["text"][0]
    picked_on = ui["emerdiff_segments"][0]["fingerprint"]
    assert masks_of_a_list([two(4, 3)] * 3, selection=[f"1 @{picked_on}"])[1]["text"] == []
    assert "has changed" in masks_of_a_list([two(4, 3)] * 2, selection=[f"1 @{picked_on}"])[1]["text"][0]


def test_the_browser_gets_the_texts_that_were_used_each_picture_its_own():
    points = '[{"x": 0, "y": 0}]'
    _, ui = masks_of_a_list(
        [two(4, 3)] * 2, selection=["1; 0, 2 @00000000"], positive_points=[points], boxes=[[0, 2, 4, 4]]
    )
    used = [entry["used"] for entry in ui["emerdiff_segments"]]
    assert [each["selection"] for each in used] == ["1 @00000000", "0, 2 @00000000"]
    assert all(each["positive_points"] == points and each["invert"] is False for each in used)
    assert [entry["boxed"] for entry in ui["emerdiff_segments"]] == [[1], [1]]


def test_inverting_nothing_selects_everything(segmentation):
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, invert=True)
    assert mask.min() == 1


def every_value():
    return [
        values.Features(torch.randn(1, 4, 4, 8), (8, 8)),
        values.Features(torch.randn(1, 4, 4, 8), (8, 8), chains=torch.rand(1, 6, 6).half() + 1, chain_grid=(2, 3)),
        values.Features(torch.randn(1, 4, 4, 8), (8, 8), clusters=torch.zeros(1, 2, 4, 4, dtype=torch.int16)),
        values.Trajectory(torch.randn(1, 4, 8, 8), 2**64 - 1, (981, 21, 1), (60, 64), (120, 128), "SD15"),
        values.LowResMasks(torch.eye(16).reshape(1, 16, 4, 4), (8, 8)),
        values.DifferenceMaps(torch.rand(1, 3, 60, 64), (120, 128)),
        values.LowResMasks(torch.eye(16).reshape(1, 16, 4, 4).repeat(2, 1, 1, 1), (8, 8), (16, 3)),
        values.LowResMasks(torch.ones(1, 1, 4, 4), (8, 8), gram=torch.rand(1, 1, 1)),
        values.Segmentation(torch.ones(2, 6, 8, dtype=torch.int16), 5, counts=(5, 2)),
        values.Segmentation(torch.ones(1, 6, 8, dtype=torch.int16), 5),
        values.Segmentation(torch.ones(1, 6, 8, dtype=torch.int16), 5, torch.rand(1, 5, 6, 8)),
    ]


@pytest.mark.parametrize("index", range(11))
def test_every_value_comes_back_from_its_file(index, folders):
    value = every_value()[index]
    assert run(EmerDiffSave, value=value, filename_prefix="sub/value")[0] is value
    (path,) = (folders / "output").rglob("*.safetensors")
    (back,) = run(EmerDiffLoad, file_name=str(path.relative_to(folders / "output")))
    assert type(back) is type(value)
    for ours, theirs in zip(back, value, strict=True):
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


def test_saving_anything_else_is_refused():
    with pytest.raises(ValueError, match="not Tensor"):
        run(EmerDiffSave, value=torch.zeros(1), filename_prefix="x")


def test_a_file_without_its_sizes_is_refused(folders):
    safetensors_file.save(
        folders / "output" / "bare.safetensors", "features", {"features": torch.zeros(1, 2, 2, 3)}, {}
    )
    with pytest.raises(ValueError, match="lacks latent_size"):
        run(EmerDiffLoad, file_name="bare.safetensors")


def test_segment_image_expands_into_the_steps():
    inputs = dict.fromkeys(("model", "vae", "conditioning", "image"), ["1", 0])
    output = execute(EmerDiffSegmentImage, **inputs, segments=9, preset="paper", seed=3)
    steps = {node["class_type"]: node["inputs"] for node in output.expand.values()}
    assert list(steps) == [
        "EmerDiffCheck",
        "EmerDiffExtractFeatures",
        "EmerDiffClusterFeatures",
        "EmerDiffModulateAndAssemble",
        "EmerDiffGather",
    ]
    assert EmerDiffCheck.define_schema().is_output_node, "which the host runs before the others"
    checked = next(name for name, node in output.expand.items() if node["class_type"] == "EmerDiffCheck")
    links = [value for node in steps.values() for value in node.values() if isinstance(value, list)]
    assert [checked, 0] not in links, "another preset would run all steps again"
    assert steps["EmerDiffClusterFeatures"]["segments"] == 9 and steps["EmerDiffExtractFeatures"]["seed"] == 3


def test_the_page_knows_every_node_that_expands():
    """Their pictures, where the run was cached, are looked for by nodes/web/js/cached_pictures.js."""
    schemas = [node.define_schema() for node in asyncio.run(EmerDiffExtension().get_node_list())]
    script = Path(__file__).resolve().parents[2] / "nodes" / "web" / "js" / "cached_pictures.js"
    names = json.dumps([schema.node_id for schema in schemas if schema.enable_expand])
    assert f"const EXPANDING = {names}\n" in script.read_text()
