"""Selecting segments, and values that go to a file and back."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from emerdiff.emerdiff_ops.files import safetensors_file
from emerdiff.emerdiff_ops.segments.labels import fingerprint
from emerdiff.nodes.load import EmerDiffLoad
from emerdiff.nodes.save import EmerDiffSave
from emerdiff.nodes.segment_image import EmerDiffSegmentImage
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps import select, values
from emerdiff.nodes.steps.values import Segmentation
from PIL import Image
from safetensors.torch import save_file


@pytest.fixture
def segmentation():
    labels = torch.zeros(2, 6, 8, dtype=torch.int16)
    labels[:, :3, 4:], labels[:, 3:, :4] = 1, 2
    return Segmentation(labels, 4)


def run(node, **inputs):
    return node.execute(**inputs).result


def test_selection_by_number_and_point(segmentation):
    mask, overlay = run(
        EmerDiffSelectSegments, segmentation=segmentation, selection="1", positive_points='[{"x": 0, "y": 5}]'
    )
    assert mask.shape == (2, 6, 8) and mask.dtype == torch.float32
    assert torch.equal(mask, (segmentation.labels > 0).float())
    assert overlay.shape == (2, 6, 8, 3)


@pytest.mark.parametrize(
    "boxes",
    [
        {"x": 4, "y": 0, "width": 4, "height": 3},
        [(3, 0, 8, 3)],
        [[{"x": 4, "y": 0, "width": 4, "height": 2, "label": "0"}], [(4, 0, 8, 3)]],
    ],
    ids=["ComfyUI's", "KJNodes'", "a list for each picture"],
)
def test_segments_that_lie_mostly_in_a_box_are_added(segmentation, boxes):
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, selection="2", boxes=boxes)
    assert torch.equal(mask, (segmentation.labels > 0).float())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"selection": "4"}, '"4" selects no segments'),
        ({"selection": "1; 2; 3"}, "3 lists"),
        ({"selection": "1, x"}, "x"),
        ({"positive_points": '[{"x": 9, "y": 0}]'}, "9"),
        ({"negative_points": "{"}, "JSON|json"),
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


@pytest.mark.parametrize("selection", ["", " ; ", "9 @00000000"])
def test_with_nothing_selected_nothing_downstream_runs_and_the_node_says_why(segmentation, selection, caplog):
    output = EmerDiffSelectSegments.execute(segmentation=segmentation, selection=selection)
    assert [type(each) for each in output.result] == [ExecutionBlocker] * 2
    assert all(each.message is None for each in output.result)  # a message would open a dialog
    assert "click segments" in output.ui["text"][-1] and "click segments" in caplog.text
    assert len(output.ui["images"]) == len(output.ui["emerdiff_segments"]) == 2


def test_picks_of_another_segmentation_are_used_and_said(segmentation, caplog):
    def masks_and_texts(selection):
        output = EmerDiffSelectSegments.execute(segmentation=segmentation, selection=selection)
        return output.result[0], output.ui["text"]

    mask, texts = masks_and_texts("1, 3-9 @00000000")
    assert torch.equal(mask, (segmentation.labels == 1).float())  # no segment has the numbers beyond
    assert "has changed" in texts[0] and "has changed" in caplog.text
    assert masks_and_texts(f"1 @{fingerprint(segmentation.labels)}")[1] == masks_and_texts("1")[1] == []


def test_the_browser_gets_picture_and_labels_as_files_of_the_same_size(segmentation, folders, monkeypatch):
    monkeypatch.setattr(select, "LARGEST_SIDE", 4)
    image = torch.rand(2, 6, 8, 4).half()  # RGBA, in half precision
    output = EmerDiffSelectSegments.execute(segmentation=segmentation, selection="1", image=image)
    entries = json.loads(json.dumps(output.ui["emerdiff_segments"]))
    assert len(entries) == 2 and (entries[0]["width"], entries[0]["height"]) == (8, 6)
    assert entries[0]["areas"] == [0.5, 0.25, 0.25, 0]
    for entry, labels in zip(entries, segmentation.labels):
        names = [entry[kind]["filename"] for kind in ("picture", "labels")]
        picture, colours = (Image.open(folders / "temp" / "emerdiff" / name) for name in names)
        assert picture.size == colours.size == (4, 3)
        assert (np.asarray(colours)[..., 0] >> 3 == labels[1::2, 1::2].numpy()).all()
    again = EmerDiffSelectSegments.execute(segmentation=segmentation, selection="0", image=image)
    assert again.ui["emerdiff_segments"] == output.ui["emerdiff_segments"]  # so the browser loads nothing anew


def test_inverting_nothing_selects_everything(segmentation):
    mask, _ = run(EmerDiffSelectSegments, segmentation=segmentation, invert=True)
    assert mask.min() == 1


def every_value():
    return [
        values.Features(torch.randn(1, 4, 4, 8), (8, 8)),
        values.Trajectory(torch.randn(1, 4, 8, 8), 2**64 - 1, (981, 21, 1), (60, 64), (120, 128), "SD15"),
        values.LowResMasks(torch.eye(16).reshape(1, 16, 4, 4), (8, 8)),
        values.DifferenceMaps(torch.rand(1, 3, 60, 64), (120, 128)),
        values.Segmentation(torch.ones(1, 6, 8, dtype=torch.int16), 5),
        values.Segmentation(torch.ones(1, 6, 8, dtype=torch.int16), 5, torch.rand(1, 5, 6, 8)),
    ]


@pytest.mark.parametrize("index", range(6))
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


def test_files_outside_the_hosts_folders_are_refused(folders):
    run(EmerDiffSave, value=every_value()[0], filename_prefix="value")
    (path,) = (folders / "output").glob("*.safetensors")
    outside = path.rename(folders / "outside.safetensors")
    os.symlink(outside, folders / "output" / "link.safetensors")
    for name in (str(outside), "../outside.safetensors", "link.safetensors"):
        with pytest.raises(ValueError):
            run(EmerDiffLoad, file_name=name)
    with pytest.raises(ValueError, match="no file"):
        run(EmerDiffLoad, file_name="nothing.safetensors")
    with pytest.raises(Exception, match="outside"):
        run(EmerDiffSave, value=every_value()[0], filename_prefix="../../escape")


def test_damaged_and_foreign_files_are_refused(folders):
    run(EmerDiffSave, value=every_value()[0], filename_prefix="value")
    (path,) = (folders / "output").glob("*.safetensors")
    whole = path.read_bytes()
    for damaged in (b"", whole[:50], whole[:-4], b"not safetensors at all"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=Path(path).name):
            run(EmerDiffLoad, file_name=path.name)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not written by EmerDiff"):
        run(EmerDiffLoad, file_name=path.name)


def test_a_file_without_its_sizes_is_refused(folders):
    safetensors_file.save(
        folders / "output" / "bare.safetensors", "features", {"features": torch.zeros(1, 2, 2, 3)}, {}
    )
    with pytest.raises(ValueError, match="lacks latent_size"):
        run(EmerDiffLoad, file_name="bare.safetensors")


def test_segment_image_expands_into_the_steps():
    inputs = dict.fromkeys(("model", "vae", "conditioning", "image"), ["1", 0])
    output = EmerDiffSegmentImage.execute(**inputs, segments=9, preset="paper", seed=3)
    steps = {node["class_type"]: node["inputs"] for node in output.expand.values()}
    assert list(steps) == [
        "EmerDiffExtractFeatures",
        "EmerDiffClusterFeatures",
        "EmerDiffModulateAndAssemble",
    ]
    assert steps["EmerDiffClusterFeatures"]["segments"] == 9 and steps["EmerDiffExtractFeatures"]["seed"] == 3
