"""Kinds of faults that users' reports led to: masks of batches, texts, soft masks, values of different pictures."""

import logging
from pathlib import Path

import pytest
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comparing import prepare, scene_picture
from emerdiff.emerdiff_ops.segments.labels import fingerprint
from emerdiff.nodes.bounding_boxes import EmerDiffBoundingBoxes
from emerdiff.nodes.check import EmerDiffCheck
from emerdiff.nodes.host import folders as host_folders
from emerdiff.nodes.host.progress import shows_previews
from emerdiff.nodes.pick_by_points import EmerDiffPickByPoints
from emerdiff.nodes.results import segmentation_result, soft_result
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps import modulate
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.belongs import OTHER_PICTURE
from emerdiff.nodes.steps.checks import check_mask
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, extract_features
from emerdiff.nodes.steps.lift import lift_mask
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.picks import CHANGED, NUMBERED_APART
from emerdiff.nodes.steps.values import Features, Segmentation, Source
from emerdiff.nodes.to_segs import EmerDiffToSEGS

from small_model import small_flux

SIDE = 64


@pytest.fixture
def unequal():
    """Two pictures of three and seven segments, each a column."""
    columns = torch.arange(SIDE).expand(SIDE, SIDE)
    labels = torch.stack([columns * count // SIDE for count in (3, 7)]).to(torch.int16)
    return Segmentation(labels, 7, counts=(3, 7))


# --- masks of a batch ---


def test_masks_of_unequal_counts_stay_with_their_pictures(unequal):
    masks, image = segmentation_result(unequal).result[0], torch.rand(2, SIDE, SIDE, 3)
    assert len(masks) == 14 and not masks[3:7].any()
    for picture, count in enumerate(unequal.counts):
        for number in range(count):
            assert torch.equal(masks[7 * picture + number].bool(), unequal.labels[picture] == number)
    found, each = EmerDiffBoundingBoxes.execute(masks, image=image).result
    assert [[box["label"] for box in boxes] for boxes in found] == [list("012"), list("0123456")]
    assert found[0][1]["x"] == 22 and found[1][1]["x"] == 10 and len(each) == 10


@pytest.mark.once
def test_masks_that_fill_up_a_batch_are_not_lifted(small, pictures, monkeypatch):
    masks, rows, predict = torch.zeros(4, 128, 128), [], modulate.predict_pushed
    masks[0, 30:70, 30:70] = masks[1, 80:120, 80:120] = masks[2, 40:60, 40:90] = 1

    def counted(predict_, layer, push, x, *others):
        rows.append(len(x))
        return predict(predict_, layer, push, x, *others)

    monkeypatch.setattr(modulate, "predict_pushed", counted)
    soft = lift_mask(small, pictures, masks, Push("fast", relative=True)).soft
    assert not soft[3].any() and all((each > 0.5).any() for each in soft[:3])
    of_both, _ = sum(rows), rows.clear()
    for picture, own in zip(pictures, (masks[:2], masks[2:3])):
        lift_mask(small, picture[None], own, Push("fast", relative=True))
    assert of_both == sum(rows)


def test_one_mask_is_for_all_pictures():
    mask = torch.zeros(1, SIDE, SIDE)
    mask[0, 8:16, 4:9] = 1
    found, _ = EmerDiffBoundingBoxes.execute(mask, image=torch.rand(3, SIDE, SIDE, 3)).result
    assert found == [[{"x": 4, "y": 8, "width": 5, "height": 8, "label": "0"}]] * 3


# --- one text, one reading ---


def test_to_segs_reads_a_selection_as_select_segments_does(unequal, caplog):
    def labels_of(selection):
        return [[seg.label for seg in parts] for _, parts in EmerDiffToSEGS.execute(unequal, selection).result[0]]

    assert labels_of("1; 6") == [["1"], ["6"]] and labels_of(f"1 @{fingerprint(unequal.labels)}") == [["1"], ["1"]]
    with pytest.raises(ValueError, match='"6" selects no segments in picture 0: use numbers and ranges within 0-2'):
        labels_of("6")
    with caplog.at_level(logging.WARNING, "EmerDiff"):
        assert labels_of("1, 200 @deadbeef") == [["1"], ["1"]]
    assert CHANGED.format("deadbeef") in caplog.text


# --- soft masks ---


@pytest.mark.parametrize("scale", [0.9, 0.35, 0.01, 255.0])
def test_a_heat_map_counts_by_its_own_maximum(scale):
    mask = torch.zeros(2, SIDE, SIDE)
    mask[0, 8:16, 8:16], mask[1, 4:40, 4:40] = 0.5, 1
    mask[0, 10:12, 10:12] = 1
    torch.testing.assert_close(check_mask(mask * scale), mask)
    assert EmerDiffBoundingBoxes.execute(mask * scale).result == EmerDiffBoundingBoxes.execute(mask).result


# --- another grid than was meant ---


def test_a_network_that_sees_another_size_is_named_where_features_are_read(sd1, photo):
    model = sd1.model.clone()

    def tiled(apply, given):
        return apply(given["input"][..., :8], given["timestep"], **given["c"])

    model.set_model_unet_function_wrapper(tiled)
    with pytest.raises(ValueError, match="changes the size of the picture inside the model.*connect the model"):
        extract_features(sd1._replace(model=model), photo)


# --- files for show ---


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
def test_what_was_computed_is_there_without_its_picture(unequal, monkeypatch, caplog, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(host_folders, "save_whole", refuse)
    image = torch.rand(2, SIDE, SIDE, 3)
    assert len(segmentation_result(unequal).result[0]) == 14
    assert soft_result(image, torch.rand(2, SIDE, SIDE)).result[0].shape == (2, SIDE, SIDE)
    assert EmerDiffSelectSegments.execute([unequal], ["1"], image=[image]).result[0][0].shape == (2, SIDE, SIDE)
    assert error.strerror in caplog.text and "the result is complete" in caplog.text


def test_a_cached_selection_runs_again_where_its_pictures_were_removed(unequal):
    mark = EmerDiffSelectSegments.fingerprint_inputs(selection="1")
    (file,) = EmerDiffSelectSegments.execute([unequal._replace(labels=unequal.labels[:1], counts=(3,))]).ui["images"]
    assert EmerDiffSelectSegments.fingerprint_inputs(selection="1") == mark
    shown = host_folders.shown_folder()
    assert (shown / file["filename"]).exists()
    shown.rename(Path(shown).with_name("away"))
    assert EmerDiffSelectSegments.fingerprint_inputs(selection="1") != mark


@pytest.mark.parametrize("method", LatentPreviewMethod)
def test_previews_are_shown_where_the_host_shows_them(monkeypatch, method):
    monkeypatch.setattr(args, "preview_method", method)
    assert shows_previews() == (method != LatentPreviewMethod.NoPreviews)


# --- numbers that mean the same in several pictures ---


@pytest.fixture(scope="module")
def pictures():
    return torch.cat([scene_picture(number) for number in range(2)])


@pytest.fixture
def shared(small, pictures):
    features, trajectory = extract_features(small, pictures, reading=PLAIN)
    maps = modulate_attention(small, trajectory, cluster_features(features, 6, shared_clusters=True), Push("draft"))
    return features, maps


def note(segmentations, images) -> list[str]:
    return EmerDiffSelectSegments.execute(
        segmentations, ["0"], image=images, every_picture=[True] * len(segmentations)
    ).ui["text"]


@pytest.mark.once
def test_numbers_that_are_shared_stay_shared_when_segments_are_merged(shared, pictures):
    features, maps = shared
    whole = assemble_masks(maps)
    merged = merge_alike(whole, features, 3)
    owner = [
        {int(new) for new in merged.labels[whole.labels == number].unique()}
        for number in whole.labels.unique().tolist()
    ]
    assert all(len(each) == 1 for each in owner), "a segment goes the same way in every picture"
    assert note([whole], [pictures]) == note([merged], [pictures]) == []
    apart = merge_alike(whole._replace(numbering=None), features, 3)
    assert note([apart], [pictures]) == [NUMBERED_APART]
    assert note([assemble_masks(maps, min_area=0.01, split_parts=True)], [pictures]) == [NUMBERED_APART]


# --- two values of one picture ---


@pytest.mark.once
def test_values_of_different_pictures_are_refused(small, pictures, caplog):
    one, other = pictures
    features, trajectory, masks = prepare(small, one[None], 3)
    of_other = prepare(small, other[None], 3)
    segmentation = assemble_masks(modulate_attention(small, trajectory, masks, Push("draft")))
    merge_alike(segmentation, features, 2)
    with pytest.raises(ValueError, match="the features and the segmentation are of different pictures"):
        merge_alike(segmentation, of_other.features, 2)
    with pytest.raises(ValueError, match="the trajectory and the masks are of different pictures"):
        modulate_attention(small, trajectory, of_other[2], Push("draft"))
    with pytest.raises(ValueError, match="the features and the trajectory are of different pictures"):
        EmerDiffPickByPoints.execute(of_other.features, trajectory, one[None], "9, 9", "")
    with caplog.at_level(logging.WARNING, "EmerDiff"):
        EmerDiffPickByPoints.execute(features, trajectory, one[None], "9, 9", "")
        assert OTHER_PICTURE not in caplog.text
        EmerDiffPickByPoints.execute(features, trajectory, other[None], "9, 9", "")
    assert OTHER_PICTURE in caplog.text


def test_a_segmentation_of_another_shape_is_refused():
    segmentation = Segmentation(torch.zeros(1, 128, 128, dtype=torch.int16), 1)
    with pytest.raises(
        ValueError, match="picture of 256 x 64 as the model sees it, the segmentation of one of 128 x 128"
    ):
        merge_alike(segmentation, Features(torch.rand(1, 2, 8, 4), (8, 32), (64, 256)), 2)
    merge_alike(segmentation, Features(torch.rand(1, 4, 4, 4), (32, 32), (256, 257)), 2)  # rounded sides


# --- refused before the work ---


@pytest.mark.once
def test_a_preset_that_does_not_suit_the_model_is_refused_by_itself():
    flux = Source(*small_flux.load())
    EmerDiffCheck.execute(flux.model, ["draft", "draft"])
    for preset in ("fast", "thorough"):
        with pytest.raises(ValueError, match=f'the preset "{preset}" lifts, which needs a UNet'):
            EmerDiffCheck.execute(flux.model, ["draft", preset])
