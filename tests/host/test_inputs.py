"""Every input a user may give: sizes, formats, batches work; what cannot work says how to mend it."""

import logging

import pytest
import torch
from comparing import smooth_picture as picture
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.nodes.host.latents import working_scale
from emerdiff.nodes.host.unet import find_layer, grid_of
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, ROBUST, Reading, extract_features
from emerdiff.nodes.steps.lift import lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention, start_timestep
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import LowResMasks, Trajectory


def segment(loaders, image, segments=3, **options):
    """The four steps at one UNet evaluation per variant; the segmentation."""
    features, trajectory = extract_features(loaders, image, **options)
    low_res = cluster_features(features, segments=segments, restarts=2)
    return assemble_masks(modulate_attention(loaders, trajectory, low_res, Push(timestep=1)))


@pytest.mark.parametrize(("model", "size"), [("sd1", (100, 77)), ("small", (64, 64)), ("small", (65, 200))])
def test_masks_have_exactly_the_images_size(request, model, size):
    segmentation = segment(request.getfixturevalue(model), picture(*size))
    assert segmentation.labels.shape == (1, *size) and segmentation.labels.dtype == torch.int16
    assert segmentation.count == 3


def test_large_image_is_worked_on_small_and_given_back_large(small):
    image = picture(300, 450)
    _, trajectory = extract_features(small, image, resolution=96)
    assert trajectory.working_size == (96, 144) and trajectory.image_size == (300, 450)
    assert trajectory.latent.shape[-2:] == (24, 36)
    assert segment(small, image, resolution=96).labels.shape == (1, 300, 450)


@pytest.mark.once
def test_the_paper_enlarges_nothing_and_the_others_what_is_smaller_than_the_models_own_size(small):
    for resolution, reading, working in [
        (512, PLAIN, (80, 90)),
        (0, PLAIN, (80, 90)),
        (0, ROBUST, (128, 144)),
        (160, ROBUST, (160, 180)),  # more than the picture has, as asked
        (40, ROBUST, (40, 45)),
    ]:
        _, trajectory = extract_features(small, picture(80, 90), resolution=resolution, reading=reading)
        assert trajectory.working_size == working and trajectory.image_size == (80, 90)


@pytest.mark.once
def test_a_long_strip_is_enlarged_no_further_than_memory_bears():
    assert working_scale((64, 64), 0, 512, True) == 4 and working_scale((160, 160), 0, 512, True) == 3.2
    assert working_scale((64, 2048), 0, 512, True) == 2  # 128 x 4096 pixels are 2 x 512 x 512
    assert working_scale((64, 20_000), 0, 512, True) == 1, "and never made smaller for it"
    assert working_scale((64, 2048), 512, 512, True) == 8, "unless asked for"
    assert working_scale((64, 96), 0, 1024, True, room=192) == 2, "nor further than the network takes"
    assert working_scale((1024, 3000), 0, 512, True) == working_scale((1024, 3000), 0, 512, False) == 0.5


@pytest.mark.once
def test_masks_of_an_enlarged_picture_have_its_own_size(small):
    image = picture(70, 96)
    features, trajectory = extract_features(small, image, reading=ROBUST)
    for preset in ("draft", "fast"):
        found = segment_pictures(small, image, trajectory, cluster_features(features, 3), preset)
        assert found.labels.shape == (1, 70, 96) and found.labels.unique().numel() == 3
    read_again = lift_mask(small, image, (found.labels == 1).float(), Push("draft", relative=True)).soft
    assert read_again.shape == (1, 70, 96)


@pytest.mark.once
def test_fp16_and_rgba_images_equal_plain_ones(small):
    image = (picture(64, 64, channels=4) * 255).round() / 255
    expected = segment(small, image[..., :3].half().float()).labels
    assert torch.equal(segment(small, image.half()).labels, expected)
    assert torch.equal(segment(small, image.half().float()).labels, expected)


def test_a_trajectory_of_less_than_its_picture_is_refused(small):
    """As a file may hold it: a latent of one cell for a picture of 64 pixels."""
    trajectory = Trajectory(torch.zeros(1, 48, 1, 1), 0, (381, 1), (1, 64), (64, 64), "UnshuffledPixels")
    with pytest.raises(ValueError, match="stand for 4 x 4 pixels and its picture is 64 x 1: run EmerDiff Extract"):
        modulate_attention(small, trajectory, LowResMasks(torch.ones(1, 1, 1, 1), (1, 1)), Push("fast"))


def test_hopeless_images_are_refused(small):
    with pytest.raises(ValueError, match="100 x 48.*at least 64.*Upscale"):
        extract_features(small, picture(48, 100))
    with pytest.raises(ValueError, match="image 1 .*flat colour"):
        extract_features(small, torch.cat([picture(64, 64), torch.ones(1, 64, 64, 3)]))


def test_a_trajectory_of_another_model_or_image_is_refused(sd1, small, photo):
    features, trajectory = extract_features(small, photo)
    low_res = cluster_features(features, segments=2)
    with pytest.raises(ValueError, match="the trajectory's latents"):
        modulate_attention(sd1, trajectory, low_res)
    with pytest.raises(ValueError, match="another kind of model"):
        modulate_attention(small, trajectory._replace(latent_format="SDXL"), low_res)
    _, other = extract_features(small, picture(64, 96))
    with pytest.raises(ValueError, match="take both from one EmerDiff Extract Features"):
        modulate_attention(small, other, low_res)
    _, double = extract_features(small, torch.cat([photo, photo.flip(2)]))
    with pytest.raises(ValueError, match="masks of 1 images, but a trajectory of 2"):
        modulate_attention(small, double, low_res)


def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(sd1, photo):
    for name in ("output 99", "output 0", "nonsense", "output", ""):
        with pytest.raises(ValueError, match='no cross-attention layer.*"auto" or one of: input 1, .*output 7'):
            extract_features(sd1, photo, reading=Reading(layer=name))


def test_layers_have_the_names_of_the_design(sd1):
    model = sd1[0]
    for name, layer in {"auto": "output 3.0", " Output  4 ": "output 4.0", "middle 0": "middle 0.0"}.items():
        assert str(find_layer(model, name, last=True)) == layer
    assert grid_of(model, find_layer(model, "auto", last=True), (37, 45)) == (10, 12)


@pytest.mark.once
def test_a_timestep_off_the_grid_is_snapped_and_said(caplog):
    grid = timestep_grid(50)
    with caplog.at_level(logging.WARNING, "EmerDiff"):
        assert start_timestep(grid, 0, 281) == 281 and start_timestep(grid, 281, 481) == 281
        assert not caplog.records
        assert start_timestep(grid, 300, 281) == 301
    assert "300" in caplog.text and "301" in caplog.text
    for beyond in (-1, 1000):
        with pytest.raises(ValueError, match="between 0 and 999"):
            start_timestep((981, 1), beyond, 281)
