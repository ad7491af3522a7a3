"""The shared evaluation gives what every variant alone would give."""

import pytest
import torch
from emerdiff.nodes import host
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features
from emerdiff.nodes.modulate import masks_on_grid, modulate_attention

from plain_reference import difference_maps
from scenes import HELD_OUT, scene

pytestmark = pytest.mark.host


def prepared(sd1, photo, segments=4):
    """Trajectory and masks of a picture, and what the plain reference needs of them."""
    model, vae, conditioning = sd1
    features, trajectory = extract_features(model, vae, conditioning, photo, seed=7)
    return trajectory, cluster_features(features, segments=segments)


def plain(sd1, trajectory, masks, strength, start=281, layer=None):
    model, vae, conditioning = sd1
    generator = torch.Generator("cpu").manual_seed(trajectory.seed)
    noise = {t: torch.randn(trajectory.latent.shape, generator=generator) for t in range(981, 0, -20)}
    levels = [t for t in noise if t <= start]
    sigmas = [host.sigma_of(model, t) for t in levels]
    layer = layer or host.find_layer(model, "auto", last=True)
    noises = [noise[t] for t in levels]
    return difference_maps(model, vae, conditioning, trajectory.latent, noises, sigmas, masks, strength, layer)


@pytest.mark.parametrize("strength", [1.0, 10.0])
def test_difference_maps_equal_the_plain_reference(sd1, photo, strength):
    trajectory, low_res = prepared(sd1, photo)
    ours = modulate_attention(*sd1, trajectory, low_res, strength=strength).difference[0]
    reference = plain(sd1, trajectory, low_res.masks[0], strength)
    error = ((ours - reference).abs().max() / reference.max()).item()
    agreement = (ours.argmax(0) == reference.argmax(0)).float().mean().item()
    print(f"largest error {error:.1e} of the maximum, labels agree on {agreement:.4%}")
    assert reference.max() > 1e-2, "the modulation must do something"
    assert error < 1e-3
    assert agreement >= 0.999


def test_every_layer_choice_equals_the_plain_reference(sd1, photo):
    """The shared prefix ends wherever the chosen layer is: input, middle and output blocks."""
    trajectory, low_res = prepared(sd1, photo, segments=2)
    for name in ("input 3", "middle 0", "output 3", "output 7"):
        options = {"strength": 5.0, "modulation_timestep": 41, "modulation_layer": name}
        ours = modulate_attention(*sd1, trajectory, low_res, **options).difference[0]
        layer = host.find_layer(sd1[0], name, last=True)
        masks = masks_on_grid(low_res.masks, host.grid_of(sd1[0], layer, trajectory.latent.shape[-2:]))[0]
        reference = plain(sd1, trajectory, masks, 5.0, start=41, layer=layer)
        assert reference.max() > 1e-3
        assert (ours - reference).abs().max() < 1e-3 * reference.max(), name


def test_small_trained_model_equals_the_plain_reference(small):
    """On weights that mean something, in float32."""
    image = torch.from_numpy(scene(HELD_OUT).image)[None]
    trajectory, low_res = prepared(small, image, segments=6)
    ours = modulate_attention(*small, trajectory, low_res, strength=30.0).difference[0]
    reference = plain(small, trajectory, low_res.masks[0], 30.0)
    agreement = (ours.argmax(0) == reference.argmax(0)).float().mean().item()
    print(f"largest error {(ours - reference).abs().max() / reference.max():.1e}, labels agree on {agreement:.4%}")
    assert (ours - reference).abs().max() < 1e-3 * reference.max()
    assert agreement >= 0.999
