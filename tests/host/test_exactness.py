"""The shared evaluation gives what every variant alone would give."""

import pytest
import torch
from comparing import plain, prepare
from emerdiff.emerdiff_ops.grid import masks_on_grid
from emerdiff.nodes.host import unet
from emerdiff.nodes.steps.modulate import Push, modulate_attention

from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def prepared(sd1, photo):
    with torch.inference_mode():
        return prepare(sd1, photo[:, :96, :64], 2, seed=7)[1:]


def test_difference_maps_equal_the_plain_reference(sd1, prepared):
    """By several of the paper's levels, from the pushed one to the last."""
    strength, start = 10.0, 121
    trajectory, low_res = prepared
    ours = modulate_attention(sd1, trajectory, low_res, Push(strength=strength, timestep=start)).difference[0]
    reference = plain(sd1, trajectory, low_res.masks[0], start, strength)
    error = ((ours - reference).abs().max() / reference.max()).item()
    agreement = (ours.argmax(0) == reference.argmax(0)).float().mean().item()
    print(f"largest error {error:.1e} of the maximum, labels agree on {agreement:.4%}")
    assert reference.max() > 1e-2, "the modulation must do something"
    assert error < 1e-3
    assert agreement >= 0.999


def test_every_layer_choice_equals_the_plain_reference(sd1, prepared):
    """The shared prefix ends wherever the chosen layer is: input, middle and output blocks."""
    trajectory, low_res = prepared
    for name in ("input 3", "middle 0", "output 7"):
        push = Push(strength=5.0, timestep=21, layer=name)
        ours = modulate_attention(sd1, trajectory, low_res, push).difference[0]
        layer = unet.find_layer(sd1[0], name, last=True)
        masks = masks_on_grid(low_res.masks, unet.grid_of(sd1[0], layer, trajectory.latent.shape[-2:]))[0]
        reference = plain(sd1, trajectory, masks, 21, 5.0, layer)
        assert reference.max() > 1e-3
        assert (ours - reference).abs().max() < 1e-3 * reference.max(), name


def test_small_trained_model_equals_the_plain_reference(small):
    """On weights that mean something, in float32."""
    image = torch.from_numpy(scene(HELD_OUT, 64).image)[None]
    _, trajectory, low_res = prepare(small, image, 3, seed=7)
    ours = modulate_attention(small, trajectory, low_res, Push(strength=30.0, timestep=81)).difference[0]
    reference = plain(small, trajectory, low_res.masks[0], 81, 30.0)
    agreement = (ours.argmax(0) == reference.argmax(0)).float().mean().item()
    print(f"largest error {(ours - reference).abs().max() / reference.max():.1e}, labels agree on {agreement:.4%}")
    assert (ours - reference).abs().max() < 1e-3 * reference.max()
    assert agreement >= 0.999
