"""Segment numbers that mean the same thing in every picture: clusters of a reference, and what is picked in all."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.cuts import cut_labels, reference_cut_masks
from emerdiff.emerdiff_ops.kmeans import kmeans, nearest, reference_masks
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.segment_image import EmerDiffSegmentImage
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import Features, Segmentation, Trajectory
from scipy.spatial.distance import cdist

from measure.consistency import flicker
from small_model.clips import clip

pytestmark = pytest.mark.once
CLIP = clip(10_000_000, 4, 128)


@pytest.fixture(scope="module")
def read(small):
    """Features and trajectory of four frames of a moving scene."""
    with torch.inference_mode():
        return extract_features(small, torch.from_numpy(CLIP.images), reading=ROBUST)


def of_frames(features: Features, *frames: int) -> Features:
    return features._replace(features=features.features[list(frames)])


@pytest.mark.parametrize("segments", [14, 0])
def test_a_reference_is_clustered_by_itself_as_without_one(read, segments):
    first = of_frames(read[0], 0)
    alone, by_itself = cluster_features(first, segments), cluster_features(first, segments, reference=first)
    assert torch.equal(alone.masks, by_itself.masks)
    together = cluster_features(read[0], segments, shared_clusters=True)
    assert torch.equal(together.masks, cluster_features(read[0], segments, reference=read[0]).masks)
    assert by_itself.counts is None


@pytest.mark.parametrize("segments", [14, 0])
def test_a_picture_s_masks_do_not_depend_on_its_batch(read, segments):
    reference = of_frames(read[0], 0, 3)
    batch = cluster_features(read[0], segments, reference=reference).masks
    alone = [cluster_features(of_frames(read[0], frame), segments, reference=reference).masks for frame in range(4)]
    assert torch.equal(batch, torch.cat(alone))


def test_cells_go_to_the_nearest_centroid_of_the_reference(read):
    reference, others = read[0].features[:1], read[0].features[1:]
    centroids = kmeans(reference.flatten(0, 2), 6, torch.Generator().manual_seed(3)).centroids
    expected = cdist(others.flatten(0, 2).double(), centroids.double()).argmin(1).reshape(others.shape[:3])
    found = reference_masks(others, reference, 6, 3)
    assert (found.argmax(1).numpy() == expected).all() and (found.sum(1) == 1).all()


def test_with_0_segments_cells_go_with_the_nearest_cell_of_the_reference(read):
    reference, others = read[0].features[:1], read[0].features[1:]
    labels = cut_labels(reference.flatten(0, 2), 0.3, 256).numpy()
    closest = cdist(others.flatten(0, 2).double(), reference.flatten(0, 2).double()).argmin(1)
    found = reference_cut_masks(others, reference, 0.3, 256)
    assert found.shape[1] == labels.max() + 1
    assert (found.argmax(1).numpy().ravel() == labels[closest]).mean() > 0.999  # to rounding


def test_what_lies_far_off_is_as_near_as_elsewhere():
    examples = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    features = torch.rand(2, 5, 4, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(nearest(features + 1000, examples + 1000), nearest(features, examples))


def test_a_number_means_the_same_thing_in_every_frame(small, read):
    """Draft's numbers hold from frame to frame by a reference, and do not where every frame is clustered alone."""
    images, truth = torch.from_numpy(CLIP.images), CLIP.labels
    reference = of_frames(read[0], 0)
    ways = {"alone": cluster_features(read[0], 14), "reference": cluster_features(read[0], 14, reference=reference)}
    changes = {
        name: flicker(segment_pictures(small, images, read[1], low_res, "draft").labels.numpy(), truth)
        for name, low_res in ways.items()
    }
    assert 3 * changes["reference"] < changes["alone"]


def test_a_segment_that_a_picture_lacks_is_an_empty_mask(read):
    features = read[0].features.clone()
    features[1:] = features[0, 0, 0]  # pictures of one thing
    masks = cluster_features(Features(features, read[0].latent_size), 5, reference=of_frames(read[0], 0)).masks
    assert masks.shape[1] == 5 and (masks[1:].flatten(2).any(2).sum(1) == 1).all()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Features(torch.rand(1, 4, 4, 7), (8, 8)), "7 numbers wide, these are 128: .* same model and feature_layer"),
        (Trajectory(torch.zeros(1, 4, 8, 8), 0, (1,), (64, 64), (64, 64), "SD15"), "a trajectory; .* takes features"),
        (Features(torch.full((1, 4, 4, 128), torch.nan), (8, 8)), "NaN or infinite"),
        (Features(torch.rand(1, 1, 2, 128), (8, 8)), "3 segments cannot be made of 2 feature vectors"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(read, reference, message):
    with pytest.raises(ValueError, match=message):
        cluster_features(read[0], 3, reference=reference)


def test_the_node_hands_its_reference_on(read):
    given = EmerDiffClusterFeatures.execute(of_frames(read[0], 2), 14, 0, reference=of_frames(read[0], 0)).result[0]
    assert torch.equal(given.masks, cluster_features(of_frames(read[0], 2), 14, reference=of_frames(read[0], 0)).masks)


@pytest.mark.parametrize("given", [{}, {"reference": (["9", 0],)}])
def test_segment_image_hands_both_ways_to_its_clustering(given):
    links = {name: [[name, 0]] for name in ("model", "vae", "conditioning", "image")}
    some = {"preset": ["draft"], "seed": [0], "segments": [8], "granularity": [0.3], "shared_clusters": [True]}
    nodes = EmerDiffSegmentImage.execute(**links, **some, **given).expand
    (inside,) = [node["inputs"] for node in nodes.values() if node["class_type"] == "EmerDiffClusterFeatures"]
    assert inside["shared_clusters"] is True and inside.get("reference") == given.get("reference", [None])[0]


# --- what is picked in one picture, picked in all


def frames(*labels):
    """A segmentation of pictures two pixels high."""
    maps = torch.tensor(labels, dtype=torch.int16)[:, None].repeat(1, 2, 1)
    return Segmentation(maps, int(maps.max()) + 1)


SOME = frames([0, 1, 2, 2], [1, 2, 2, 0], [3, 3, 2, 1])


def picked(**texts) -> torch.Tensor:
    """The masks [B, 2, W] that the node gives, as lists of rows."""
    output = EmerDiffSelectSegments.execute(
        [SOME], every_picture=(True,), **{name: [text] for name, text in texts.items()}
    )
    return output.result[0][0]


def where(*numbers: int) -> torch.Tensor:
    return torch.from_numpy(np.isin(SOME.labels, numbers)).float()


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ({"selection": "2"}, [2]),
        ({"selection": "; 1; 3"}, [1, 3]),
        ({"positive_points": '[{"x": 1, "y": 0}]'}, [1]),  # in the first picture
        ({"positive_points": '[[], [], [{"x": 0, "y": 0}]]'}, [3]),
        ({"boxes": [{"x": 2, "y": 0, "width": 2, "height": 2}]}, [2]),  # in the first picture
        ({"selection": "1-2", "negative_points": '[[], [{"x": 0, "y": 1}], []]'}, [2]),
        ({"negative_points": '[{"x": 0, "y": 0}]'}, [1, 2, 3]),
        ({"selection": "2", "invert": True}, [0, 1, 3]),
    ],
)
def test_what_is_picked_in_one_picture_is_picked_in_all(texts, numbers):
    assert torch.equal(picked(**texts), where(*numbers))


def test_the_widget_hears_what_was_picked_elsewhere():
    points = {"positive_points": '[[{"x": 1, "y": 0}], [], [{"x": 0, "y": 0}]]'}
    shown = EmerDiffSelectSegments.execute(
        [SOME], ["0; 2"], every_picture=(True,), **{k: [v] for k, v in points.items()}
    )
    entries = shown.ui["emerdiff_segments"]
    assert [entry["boxed"] for entry in entries] == [[3], [1, 3], [1]]  # not what points of the picture's own say
    assert [entry["used"]["selection"] for entry in entries] == ["0, 2"] * 3


def test_a_list_of_frames_is_picked_from_as_a_batch_is():
    singles = [SOME._replace(labels=SOME.labels[n : n + 1]) for n in range(3)]
    masks = EmerDiffSelectSegments.execute(singles, ["; 1"], every_picture=(True,)).result[0]
    assert torch.equal(torch.cat(masks), where(1))


def test_nothing_picked_is_nothing():
    output = EmerDiffSelectSegments.execute([SOME], [""], every_picture=(True,))
    assert not torch.is_tensor(output.result[0][0])
