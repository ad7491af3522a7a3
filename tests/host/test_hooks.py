"""What sharing may not change, and what must be left as it was."""

import comfy.model_management
import comfy.samplers
import comfy.utils
import pytest
import torch
from comparing import prepare
from emerdiff.emerdiff_ops.schedule import noise_for
from emerdiff.nodes.host import network, progress, unet
from emerdiff.nodes.host.hooks import Modulation
from emerdiff.nodes.host.unet import Layer
from emerdiff.nodes.steps import read_out
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.extract import captured, extract_features
from emerdiff.nodes.steps.modulate import Push, maps_of_pictures, modulate_attention

from reference.plain_procedure import Replay, session

PUSHED = 21  # timestep: two evaluations


@pytest.fixture(scope="module")
def photo(photo):
    """Small: 3 x 2 cells of the coarsest grid."""
    return photo[:, :96, :64]


@pytest.fixture(scope="module")
def prepared(sd1, photo):
    with torch.inference_mode():
        return prepare(sd1, photo, 3, seed=7)


@pytest.fixture(scope="module")
def maps(sd1, prepared):
    """The difference maps, from all rows at once: what nothing here may change."""
    with torch.inference_mode():
        return modulate(sd1, *prepared[1:])


def modulate(sd1, trajectory, low_res, inject=True, rows=None):
    return modulate_attention(sd1, trajectory, low_res, Push(timestep=PUSHED, inject=inject), rows).difference


def assert_close(ours, reference):
    assert reference.max() > 1e-3
    assert (ours - reference).abs().max() <= 1e-4 * reference.max()


def test_chunk_size_order_and_number_of_masks_change_nothing(sd1, prepared, maps):
    """One variant at a time, and those of two masks before those of the third."""
    _, trajectory, low_res = prepared
    order = [2, 0]
    assert_close(modulate(sd1, trajectory, low_res, rows=5), maps)
    some = modulate(sd1, trajectory, low_res._replace(masks=low_res.masks[:, order]), rows=2)
    assert_close(some, maps[:, order])


def test_images_of_a_batch_do_not_see_each_other(sd1, photo):
    """Each image's maps are those of modulating it with its own latent, noise and masks alone."""
    batch = torch.cat([photo, photo.flip(1)])
    features, trajectory, low_res = prepare(sd1, batch, 3)
    assert modulate(sd1, trajectory, low_res).shape == (2, 3, 96, 64)
    model = sd1.model
    noise = noise_for(trajectory.latent.shape, 0, trajectory.timesteps, {1})[1]
    layer = unet.find_layer(model, "auto", last=False)
    for index in range(2):
        one = slice(index, index + 1)
        sigma = network.sigma_of(model, 1)
        alone = captured(sd1, trajectory.latent[one], noise[one], sigma, layer)
        assert torch.equal(features.features[one], alone)


def test_features_equal_a_direct_capture(sd1, prepared):
    """The query of the layer, read by hand from the third-party side: to_q(norm2(x)) as attention receives it."""
    features, trajectory, _ = prepared
    model, _, conditioning = sd1
    layer = unet.find_layer(model, "auto", last=False)
    assert str(layer) == "output 2.0", "the first cross-attention of the coarsest level of this checkpoint"
    generator = torch.Generator("cpu").manual_seed(7)
    noise = [torch.randn(trajectory.latent.shape, generator=generator) for _ in range(50)][-1]
    sigma, captured = network.sigma_of(model, 1), []
    transformer = model.model.diffusion_model.output_blocks[2][1].transformer_blocks[0]
    handle = transformer.attn2.to_q.register_forward_hook(lambda module, inputs, output: captured.append(output))
    try:
        session(
            model, conditioning, trajectory.latent, lambda x0, denoise: denoise(x0 + sigma * noise, sigma, Replay())
        )
    finally:
        handle.remove()
    assert torch.allclose(features.features.flatten(1, 2), captured[0], atol=1e-5)


def test_the_feature_pass_stops_after_its_layer(sd1, photo):
    """And leaves the model as it was, though it left the sampler by an exception."""
    before, ran = host_output(sd1), []
    handle = sd1[0].model.diffusion_model.out.register_forward_hook(lambda *_: ran.append(True))
    try:
        extract_features(sd1, photo)
    finally:
        handle.remove()
    assert not ran
    assert torch.equal(host_output(sd1), before)


def test_progress_counts_every_row_and_shows_the_label_map_as_it_forms(sd1, prepared, monkeypatch):
    _, trajectory, low_res = prepared
    seen = []
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_PREVIEWS", -1.0)
    monkeypatch.setattr(progress, "shows_previews", lambda: True)
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda *call, **_: seen.append(call))
    modulate_attention(sd1, trajectory, low_res, Push(timestep=PUSHED), rows=5, preview=True)
    values, totals, previews = zip(*seen)
    rows = 2 * 3 + 2  # three masks' variants in chunks of at most four, each with the unmodulated run
    assert set(totals) == {rows * 2 + 6 + 3} and values[-1] == totals[-1]  # two levels; six decodings; three maps
    assert list(values) == sorted(values)
    kind, picture, side = previews[3]
    assert kind == "JPEG" and max(picture.size) == side
    assert len(picture.getcolors()) > 1


def test_nodes_that_give_pictures_show_no_preview(sd1, prepared, monkeypatch):
    """The front end would go on showing the last preview instead of the picture."""
    _, trajectory, low_res = prepared
    seen = []
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_PREVIEWS", -1.0)
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda *call, **_: seen.append(call))
    for maps in maps_of_pictures(sd1, trajectory, low_res, Push("fast"), progress.Progress()):
        assert len(list(maps(sd1.model.load_device))) == low_res.masks.shape[1]
    assert seen and all(preview is None for _, _, preview in seen)


def host_output(sd1):
    """What the user's own sampling gives: a few steps of the host's Euler sampler."""
    model, _, conditioning = sd1
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    noise = torch.randn(1, 4, 12, 8, generator=torch.Generator().manual_seed(1))
    sigmas = torch.tensor([5.0, 1.0, 0.0])
    return guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"), sigmas, seed=1)


def test_model_is_untouched_after_a_run_a_failure_and_a_cancel(sd1, prepared, monkeypatch):
    _, trajectory, low_res = prepared
    model, before = sd1[0], host_output(sd1)
    options, patches = repr(model.model_options), dict(model.patches)
    conditioning = sd1[2][0][0].clone()

    modulate(sd1, trajectory, low_res)
    assert torch.equal(host_output(sd1), before)

    monkeypatch.setattr(read_out, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("decoder broke")))
    with pytest.raises(RuntimeError, match="decoder broke"):
        modulate(sd1, trajectory, low_res)
    assert torch.equal(host_output(sd1), before)

    def cancel(self, *_, **__):
        comfy.model_management.interrupt_current_processing(True)

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        modulate(sd1, trajectory, low_res)
    comfy.model_management.interrupt_current_processing(False)
    assert torch.equal(host_output(sd1), before)
    assert repr(model.model_options) == options and dict(model.patches) == patches
    assert torch.equal(sd1[2][0][0], conditioning)


def test_wire_values_are_not_written_to(sd1, prepared):
    _, trajectory, low_res = prepared
    copies = trajectory.latent.clone(), low_res.masks.clone()
    maps = modulate_attention(sd1, trajectory, low_res, Push(timestep=21))
    difference = maps.difference.clone()
    assemble_masks(maps, smoothing=2.0, min_area=0.1, normalize=True)
    assert torch.equal(trajectory.latent, copies[0]) and torch.equal(low_res.masks, copies[1])
    assert torch.equal(maps.difference, difference)


def test_hooks_of_others_stay_in_place(sd1, prepared, maps):
    """A patch list and an attention override that were there before are run, and are there afterwards."""
    _, trajectory, low_res = prepared
    model = sd1.model
    seen = {"patch": 0, "override": 0}

    def patch(n, options):
        seen["patch"] += 1
        return n

    def override(function, *args, **kwargs):
        seen["override"] += 1
        return function(*args, **kwargs)

    patched = model.clone()
    patched.set_model_attn2_output_patch(patch)
    patched.model_options["transformer_options"]["optimized_attention_override"] = override
    ours = modulate(sd1._replace(model=patched), trajectory, low_res)
    assert seen["patch"] > 0 and seen["override"] > 0
    assert patched.model_options["transformer_options"]["patches"]["attn2_output_patch"] == [patch]
    assert patched.model_options["transformer_options"]["optimized_attention_override"] is override
    assert_close(ours, maps)


def test_attention_can_be_left_free(sd1, prepared, maps):
    _, trajectory, low_res = prepared
    free = modulate(sd1, trajectory, low_res, inject=False)
    assert free.shape == maps.shape and torch.isfinite(free).all()
    assert (free - maps).abs().max() > 1e-3 * maps.max(), "injection must make a difference"


def test_the_precision_that_a_model_asks_for_reaches_the_shared_scores():
    """SD2.x asks for fp32: its scores are infinite in fp16."""
    hook = Modulation(Layer("output", 3, 0), None, inject=True, rows=2)
    hook.install({})
    options = {"block": ("output", 3), "cond_or_uncond": [0]}
    n = (200 * torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))).half()
    inputs = hook.self_attention_inputs(n, n, n / 200, options | {"block_index": 0})
    assert not torch.isfinite(hook.attention(None, *inputs, 1)).all()
    inputs = hook.self_attention_inputs(n, n, n / 200, options | {"block_index": 0})
    assert torch.isfinite(hook.attention(None, *inputs, 1, attn_precision=torch.float32)).all()
