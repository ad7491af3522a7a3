"""The command video: its ways on cases that are known, its rows, its table."""

from types import SimpleNamespace

import pytest
import torch
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.values import Features

from measure.beds import SMALL_MODEL
from measure.video import BY_CUTS, COLUMNS, SHARED, as_in, carried, long_video, measured, of_number, table
from small_model.clips import clip

pytestmark = pytest.mark.once


@pytest.fixture
def features():
    """Four frames of a 6 x 5 grid whose things drift a little from frame to frame."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 5, 8, generator=generator)
    drift = 0.02 * torch.randn(4, 6, 5, 8, generator=generator).cumsum(0)
    return Features(first + drift, (12, 10))


def test_what_is_carried_keeps_its_number_through_a_slow_change(features):
    masks = carried(features, 6).masks
    assert torch.equal(masks[:1], cluster_features(features._replace(features=features.features[:1]), 6).masks)
    assert (masks.argmax(1) == masks[:1].argmax(1)).float().mean() > 0.95


def test_as_in_takes_its_reference_from_these_places(features):
    chosen = features._replace(features=features.features[[0, 2, 3]])
    found = as_in((0, 1 / 2, 1), features, 6).masks
    assert torch.equal(found, cluster_features(features, 6, reference=chosen).masks)


def test_every_way_is_scored_by_every_column(small):
    known = of_number(4) | BY_CUTS
    names = ["each frame alone", SHARED, "as in the first frame, 0 segments"]
    pipeline = SimpleNamespace(source=small, bed=SMALL_MODEL._replace(size=64))
    rows = measured(pipeline, clip(0, 3, 64), names, known)
    assert [row["way"] for row in rows] == names
    assert all(set(COLUMNS) < set(row) and 0 <= row["miou"] <= 1 and row["seconds"] > 0 for row in rows)


def test_the_table_has_means_errors_and_paired_gains():
    def row(seed, way, value):
        return {"seed": seed, "way": way, **dict.fromkeys(COLUMNS, value)}

    rows = [row(1, SHARED, 0.5), row(2, SHARED, 0.7), row(1, "alone", 0.2), row(2, "alone", 0.6)]
    lines = table(rows, "clips").splitlines()
    assert lines[0].startswith("clips; mean")
    assert "| alone | 2 | 0.400 +- 0.200 | " in lines[5] and "| alone | -0.200 +- 0.100 | " in lines[-1]


def test_a_long_video_s_memory_is_counted_with_its_pictures(small):
    above, pictures, coloured = long_video(small, SMALL_MODEL, 64, "reference", 2)
    assert pictures == coloured == 2 * 64 * 64 * 3 * 4 / 1e9 and above >= 0
