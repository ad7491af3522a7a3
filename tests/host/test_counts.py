"""Segments 0: as many as each picture has, through every step, to masks, files, selections and SEGS."""

import pytest
import torch
from comparing import scene_picture
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.host.time_left import TimeLeft
from emerdiff.nodes.results import segmentation_result
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.exchange import segs_of_pictures
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.picks import Together, read_picks, requests
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.select import selected

pytestmark = pytest.mark.once
ONE = Together(True, True, True, True, True)


@pytest.fixture(scope="module")
def pictures():
    """A scene, and one of two plain halves."""
    halves = torch.full((128, 128, 3), 0.2)
    halves[:, 64:] = 0.8
    return torch.cat([scene_picture(3), halves[None]])


@pytest.fixture(scope="module")
def read(small, pictures):
    with torch.inference_mode():
        return extract_features(small, pictures, reading=ROBUST)


@pytest.fixture(scope="module")
def low_res(read):
    return cluster_features(read[0], 0)


@pytest.fixture(scope="module")
def segmentation(small, pictures, read, low_res):
    with torch.inference_mode():
        return segment_pictures(small, pictures, read[1], low_res, "fast")


def test_pictures_have_their_own_numbers_of_segments(low_res):
    assert low_res.counts[0] > low_res.counts[1] >= 2
    assert low_res.masks.shape[1] == max(low_res.counts) and (low_res.masks.sum(1) == 1).all()


def test_shared_clusters_are_one_number_for_all(read):
    together = cluster_features(read[0], 0, shared_clusters=True)
    assert together.counts is None and together.masks.flatten(2).any(2).any(0).all()
    assert torch.equal(together.masks, cluster_features(read[0], 0, 5, True).masks)  # whatever the seed


@pytest.mark.parametrize("preset", ["draft", "fast"])
def test_empty_masks_are_not_pushed_and_change_nothing(small, pictures, read, low_res, preset, monkeypatch):
    planned, expect = [], TimeLeft.expect
    monkeypatch.setattr(TimeLeft, "expect", lambda *what: (planned.append(what[1:3]), expect(*what)))
    own, padded = (
        segment_pictures(small, pictures, read[1], low_res._replace(counts=each), preset)
        for each in (low_res.counts, None)
    )
    for ours, theirs in zip(own.labels, padded.labels):  # to rounding: another number of rows at once
        assert (ours == theirs.unique(return_inverse=True)[1]).float().mean() > 0.99
    if preset != "draft":
        fewer, all_ = (amount for kind, amount in planned if kind == "first level")
        assert all_ - fewer >= 2 * (low_res.counts[0] - low_res.counts[1])  # beside row 0 of every chunk


def test_empty_segments_appear_nowhere(segmentation, pictures):
    for labels, count in zip(segmentation.labels, segmentation.counts):
        assert labels.unique().tolist() == list(range(count))
    masks = segmentation_result(segmentation).result[0]
    for own, count in zip(masks.split(segmentation.count), segmentation.counts, strict=True):
        assert torch.equal(own.sum(0), torch.ones(128, 128))
        assert own.flatten(1).any(1).tolist() == [number < count for number in range(segmentation.count)]
    names = [[seg.label for seg in found[1]] for found in segs_of_pictures(segmentation, pictures, min_area=0)]
    assert names == [[str(number) for number in range(count)] for count in segmentation.counts]


def test_the_two_ways_to_a_segmentation_are_one(small, pictures, read, low_res, segmentation):
    maps = modulate_attention(small, read[1], low_res, Push("fast", relative=True), image=pictures)
    assert maps.counts == low_res.counts and not maps.difference[1, low_res.counts[1] :].any()
    assembled = assemble_masks(maps, image=pictures)
    assert torch.equal(assembled.labels, segmentation.labels) and assembled.counts == segmentation.counts


def test_every_picture_is_picked_from_by_its_own_numbers(segmentation, pictures):
    def picked(text):
        asked = requests([segmentation], [pictures], [text], [""], [""], [False], [None])
        return selected(asked, read_picks(asked, ONE))[0]

    last = segmentation.counts[1] - 1
    found = picked(f"0; {last}")
    assert torch.equal(found.mask[1], (segmentation.labels[1] == last).float())
    assert [len(entry["colors"]) for entry in found.entries] == list(segmentation.counts)
    with pytest.raises(ValueError, match=f"within 0-{last}"):
        picked(f"; {last + 1}")


def test_parts_are_counted_picture_by_picture_too(small, pictures, read, low_res):
    maps = modulate_attention(small, read[1], low_res, Push("draft"), image=pictures)
    parts = assemble_masks(maps, min_area=0.002, image=pictures, split_parts=True)
    assert all(labels.unique().tolist() == list(range(n)) for labels, n in zip(parts.labels, parts.counts))
    assert parts.count == max(parts.counts)


def test_merged_segments_keep_their_own_numbers(segmentation, read):
    merged = merge_alike(segmentation, read[0], target=3)
    assert merged.counts == tuple(min(3, count) for count in segmentation.counts)


def test_a_finer_granularity_makes_more(read):
    few, many = (EmerDiffClusterFeatures.execute(read[0], 0, 0, granularity=each).result[0] for each in (0.1, 0.6))
    assert sum(few.counts) < sum(many.counts)
