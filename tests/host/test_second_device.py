"""After the network work stays on its device: on a second device that watches every move, and on one that is full."""

import logging

import comfy.model_management
import comfy.utils
import pytest
import torch
from comparing import scene_picture
from emerdiff.emerdiff_ops import borders
from emerdiff.nodes.host import memory
from emerdiff.nodes.host.memory import Workplace
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.pick import pick_by_points
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import Segmentation
from second_device import FAR, SecondDevice

pytestmark = pytest.mark.once

PLENTY = 100e9


@pytest.fixture(scope="module")
def image():
    """Two pictures, padded at the right and below."""
    return torch.cat([scene_picture(number) for number in (3, 4)])[:, 30:97, 25:90]


@pytest.fixture(scope="module")
def read(small, image):
    with torch.inference_mode():
        return extract_features(small, image, reading=ROBUST)


@pytest.fixture
def device(monkeypatch):
    """The second device, and a host that has room on it."""
    monkeypatch.setattr(comfy.model_management, "free_memory", lambda *_, **__: [])
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: PLENTY)
    with SecondDevice() as watched:
        yield watched


@pytest.fixture
def far(small):
    """The small model, as if it ran on the second device."""
    model = small.model.clone()
    model.load_device = FAR
    return small._replace(model=model)


def clusters(features):
    return cluster_features(features, 5, restarts=2)


def moved(value):
    return value._replace(**{name: each.to(FAR) for name, each in value._asdict().items() if torch.is_tensor(each)})


def test_a_draft_stays_on_the_device_from_features_to_label_maps(small, far, image, read, device):
    features, trajectory = read
    here = segment_pictures(small, image, trajectory, clusters(features), "draft")
    device.moves.clear()
    there = moved(features)
    low_res_masks = clusters(there)
    found = segment_pictures(far, image, trajectory, low_res_masks, "draft")
    assert (found.labels == here.labels).float().mean() > 0.999
    assert {move.shape for move in device.left()} == {(67, 65)} and len(device.left(torch.int16)) == len(image)
    assert len(device.left()) == len(image), "a label map a picture, and nothing else"
    assert {"addcmul_", "cumsum", "addmm", "index_select", "maximum"} <= device.works


def test_a_picture_larger_than_worked_on_is_assembled_on_the_device(far, image, read, device):
    features, trajectory = read
    large = torch.nn.functional.interpolate(image.movedim(-1, 1), (134, 130), mode="bilinear").movedim(1, -1)
    trajectory = trajectory._replace(image_size=(134, 130))
    maps = modulate_attention(far, trajectory, clusters(moved(features)), Push("draft"), image=large)
    assert maps.difference.device == FAR
    device.moves.clear()
    labels = assemble_masks(maps, image=large, min_area=0.001, fill_holes=0.01).labels
    assert labels.device != FAR and labels.unique().numel() > 1
    assert [move.shape for move in device.left()] == [(134, 130)] * 2


@pytest.mark.parametrize("how", ["cuts", "shared", "of a reference", "cuts of a reference"])
def test_clusters_are_found_on_the_device(read, device, how):
    features = moved(read[0])
    options = {
        "cuts": {"segments": 0},
        "shared": {"segments": 5, "shared_clusters": True},
        "of a reference": {"segments": 5, "reference": read[0]},  # one that was loaded from a file
        "cuts of a reference": {"segments": 0, "reference": features},
    }[how]
    assert cluster_features(features, **options).masks.device == FAR
    cells = features.features.shape[1] * features.features.shape[2]
    graphs = {"cuts": [(cells, cells)] * 2, "cuts of a reference": [(2 * cells, 2 * cells)]}.get(how, [])
    assert [move.shape for move in device.left()] == graphs, "their eigenvectors are found on the processor"


def test_points_and_merging_move_what_only_the_processor_can(image, read, device):
    features, trajectory = moved(read[0]), read[1]
    point = '[{"x": 30, "y": 30}]'
    picked = pick_by_points(features, trajectory, image, point, "")
    torch.testing.assert_close(picked, pick_by_points(*read, image, point, ""), atol=1e-3, rtol=0)
    height, width = read[0].features.shape[1:3]
    left = [move.shape for move in device.left()]
    assert left.count((67, 65)) == len(image), "what is like the point"
    assert left.count((height, width)) == 2 * len(image), "few and many clusters"
    of_levels = {(height, width), (20, 20), trajectory.working_size}  # clusters, how alike they are, masks
    assert set(left) == {(67, 65), *of_levels}
    device.moves.clear()
    labels = segment_labels(image)
    merged = merge_alike(labels, features, 3)
    assert torch.equal(merged.labels, merge_alike(labels, read[0], 3).labels)
    assert not device.left(), "products of embeddings are few"


def segment_labels(image):
    quarters = (torch.arange(67)[:, None] > 30) * 2 + (torch.arange(65) > 25)
    return Segmentation(torch.stack([quarters.short()] * len(image)), 4)


def test_a_mask_is_lifted_on_the_device(far, image, read, device):
    known = Known(0, 0, moved(read[0]), read[1])
    mask = torch.zeros(2, 67, 65)
    mask[:, 20:50, 20:50] = 1
    soft = lift_mask(far, image, mask, Push("draft", relative=True), known).soft
    assert soft.device != FAR and soft.shape == (2, 67, 65)
    assert [move.shape for move in device.left()] == [(1, 67, 65)] * 2


def test_a_device_that_is_short_is_left_before_the_work_with_one_warning(far, image, read, device, monkeypatch, caplog):
    features, trajectory = read
    expected = segment_pictures(far, image, trajectory, clusters(features), "draft")
    asked = []
    monkeypatch.setattr(comfy.model_management, "free_memory", lambda need, where, **_: asked.append((need, where)))
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: 1e6)
    device.works.clear()
    with caplog.at_level(logging.WARNING):
        found = segment_pictures(far, image, trajectory, clusters(features), "draft")
    assert torch.equal(found.labels, expected.labels) and not device.works
    assert [record.message for record in caplog.records if "processor" in record.message] == [
        "0.0 GB are needed and 0.0 GB are free on meta: masks are made on the processor, which is slower"
    ]
    [(need, where)] = asked
    assert where == FAR and need > 100 * 67 * 65


@pytest.mark.parametrize("full_after", [0, 1, 9])
def test_memory_that_runs_out_in_the_middle_costs_time_alone(far, image, read, device, monkeypatch, caplog, full_after):
    features, trajectory = read
    expected = segment_pictures(far, image, trajectory, clusters(features), "draft")
    upsampler, made = borders.guided_upsampler, []

    def small(picture, *arguments):
        upsample = upsampler(picture, *arguments)

        def limited(values):
            if values.device == FAR:
                made.append(values.shape)
                if len(made) > full_after:
                    raise torch.OutOfMemoryError("CUDA out of memory")
            return upsample(values)

        return limited

    monkeypatch.setattr(borders, "guided_upsampler", small)
    with caplog.at_level(logging.WARNING):
        found = segment_pictures(far, image, trajectory, clusters(features), "draft")
    assert torch.equal(found.labels, expected.labels) and len(made) == full_after + 1
    assert sum("memory ran out on meta" in record.message for record in caplog.records) == 1


def test_what_fails_on_the_processor_or_for_another_reason_is_not_tried_again():
    for device, error in ((memory.PROCESSOR, torch.OutOfMemoryError("out of memory")), (FAR, RuntimeError("other"))):
        place, tried = Workplace(memory.PROCESSOR, 1), []
        place.device = device

        def work(where, error=error, tried=tried):
            tried.append(where)
            raise error

        with pytest.raises(RuntimeError, match=str(error)):
            place.run(work)
        assert tried == [device]


def test_no_maps_of_all_segments_at_the_pictures_size_exist_anywhere(far, image, read, device):
    """Watched: the largest tensor of all that were made, whatever the number of segments."""
    features, trajectory = read
    large = torch.nn.functional.interpolate(image.movedim(-1, 1), (268, 260), mode="nearest").movedim(1, -1)
    low_res_masks = cluster_features(moved(features), 24, restarts=1)
    device.largest = 0
    segment_pictures(far, large, trajectory._replace(image_size=(268, 260)), low_res_masks, "draft")
    assert 3 * 268 * 260 <= device.largest <= 6 * 268 * 260


@pytest.mark.parametrize("when", [3, 14])
def test_borders_and_assembly_count_and_hear_cancel_within_a_map(small, image, read, monkeypatch, when):
    """Of two pictures' five maps each: ten times the first filter, ten times the second, ten assembled."""
    low_res_masks, calls = clusters(read[0]), []

    class Cancelled(Exception):
        pass

    def step(bar, value, total=None, preview=None):
        calls.append((value, total))
        if len(calls) == when:
            raise Cancelled

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", step)
    with pytest.raises(Cancelled):
        segment_pictures(small, image, read[1], low_res_masks, "draft")
    assert calls == [(number, 30) for number in range(1, when + 1)]
    calls.clear()
    when = 0
    segment_pictures(small, image, read[1], low_res_masks, "draft")
    assert calls[-1] == (30, 30) and len(calls) == 30
    calls.clear()
    cluster_features(read[0], 5, restarts=3)
    cluster_features(read[0], 0)
    cells = read[0].features[..., 0].numel()
    assert (6, 6) in calls and calls[-1] == (cells, cells), "two pictures' attempts, then every cell of the graph"
