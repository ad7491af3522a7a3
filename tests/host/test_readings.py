"""Features with surroundings, mirrored, at half cells: in the real host, for any picture, and never in paper's way."""

import comfy.utils
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comparing import scene_picture
from comparing import smooth_picture as picture
from emerdiff.nodes.extract_features import EmerDiffExtractFeatures
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, ROBUST, Reading, extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source

pytestmark = pytest.mark.once
WAYS = [(0.25, False, False), (0.0, True, False), (0.0, False, True), (0.5, True, True)]


def counted(source: Source):
    """The source, and a list that gets the size of the latent of every evaluation of its UNet."""
    sizes, model = [], source.model.clone()

    def count(executor, x, *args, **kwargs):
        sizes.append(tuple(x.shape[-2:]))
        return executor(x, *args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "count", count)
    return source._replace(model=model), sizes


@pytest.fixture(scope="module")
def plain(sd1):
    """Two pictures, and their features as the paper reads them."""
    image = picture(72, 100, count=2)
    with torch.inference_mode():
        return image, extract_features(sd1, image)[0]


@pytest.mark.parametrize(("surroundings", "mirrored", "dense"), WAYS)
def test_every_way_of_reading_gives_features_on_the_pictures_own_grid(sd1, plain, surroundings, mirrored, dense):
    (image, plain), (source, sizes) = plain, counted(sd1)
    features, trajectory = extract_features(source, image, reading=Reading(1, "auto", surroundings, mirrored, dense))
    rows, columns = (side * (1 + dense) for side in plain.features.shape[1:3])
    assert features.features.shape == (2, rows, columns, plain.features.shape[3])
    assert features.features.isfinite().all() and features.latent_size == plain.latent_size
    assert len(sizes) == 2 * (1 + mirrored) * (4 if dense else 1)
    if surroundings == 0.5 and mirrored:  # on either grid
        maps = modulate_attention(sd1, trajectory, cluster_features(features, 2), Push(timestep=1)).difference
        assert maps.shape == (2, 2, 72, 100) and maps.isfinite().all()


def test_surroundings_are_a_share_of_the_shorter_side_in_whole_cells(sd1, photo):
    source, sizes = counted(sd1)
    for share, side in ((0.01, 24), (0.25, 24), (0.5, 32)):  # 128 pixels are 16 cells of the latent, a cell 4 of them
        sizes.clear()
        extract_features(source, photo, reading=Reading(surroundings=share))
        assert sizes == [(side, side)], share


def test_more_segments_than_a_dense_grid_has_cells_are_refused(small):
    features, _ = extract_features(small, picture(64, 64), reading=Reading(dense=True))
    assert features.features.shape[1:3] == (16, 16)
    with pytest.raises(ValueError, match="257 segments cannot be made of 256 feature vectors"):
        cluster_features(features, 257)


def test_a_mirrored_picture_gives_mirrored_features(small):
    """To the noise: with both views the features of the two pictures are the same, mirrored."""
    image = scene_picture()
    ways = [Reading(surroundings=0.25, mirrored=mirrored) for mirrored in (False, True)]
    apart = []
    for reading in ways:
        straight, turned = (
            extract_features(small, each, reading=reading)[0].features for each in (image, image.flip(2))
        )
        apart.append(float((straight - turned.flip(2)).norm() / straight.norm()))
    assert apart[1] < 0.35 * apart[0]


def test_features_tell_less_of_the_pictures_borders(small):
    """The outermost ring of cells differs less from what lies next to it, of pictures that are alike everywhere."""
    noise = torch.rand(4, 128, 128, 3, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    plain, robust = (extract_features(small, noise, reading=each)[0].features.mean(0) for each in (PLAIN, ROBUST))
    assert ring_apart(robust) < 0.7 * ring_apart(plain)


def ring_apart(features):
    """Distance of the ring's mean from the inside's, in standard deviations of the inside."""
    inside = features[2:-2, 2:-2].flatten(0, 1)
    ring = torch.cat([features[0], features[-1], features[1:-1, 0], features[1:-1, -1]])
    return float((ring.mean(0) - inside.mean(0)).norm() / inside.std(0).norm())


def test_the_bar_counts_the_readings(small, monkeypatch):
    totals = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, *_, **__: totals.append((value, total)))
    extract_features(small, picture(64, 64, count=2), reading=ROBUST)
    assert {total for _, total in totals} == {4} and totals[-1] == (4, 4)  # the host skips steps that come too fast


def test_the_node_reads_robustly_unless_told_otherwise(small):
    image = picture(64, 64)
    given = EmerDiffExtractFeatures.execute(*small, image, 0).result[0]
    robust, plain = (extract_features(small, image, reading=each)[0] for each in (ROBUST, PLAIN))
    assert torch.equal(given.features, robust.features)
    told = EmerDiffExtractFeatures.execute(
        *small, image, 0, surroundings=0.0, mirrored=False, dense=False, enlarge=False
    ).result[0]
    assert torch.equal(told.features, plain.features)
