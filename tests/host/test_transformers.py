"""Features of every family of transformers: equal to a direct capture, also beside other packs, and made to masks."""

import gc
import math
from typing import NamedTuple

import comfy.controlnet
import comfy.model_management
import comfy.sample
import comfy.sd
import numpy as np
import pytest
import torch
from comfy.model_sampling import ModelSamplingDiscrete
from comparing import smooth_picture
from direct_capture import direct_capture
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.emerdiff_ops.schedule import noise_for
from emerdiff.emerdiff_ops.views import canvas_of, mean_reading, views
from emerdiff.nodes.host import network
from emerdiff.nodes.host.transformers import Transformer, family_of
from emerdiff.nodes.steps import attention
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import Reading, extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source, Trajectory
from torch.nn.modules import module as hooks_of_torch
from transformer_layouts import LAYOUTS, Layout, normal

LEVEL = 281  # of Stable Diffusion's 1000: where transformers are read unasked
SEED = 3


class Loaded(NamedTuple):
    name: str
    layout: Layout
    source: Source

    def picture(self, count: int = 1) -> torch.Tensor:
        """A smooth random picture of an odd size; PixArt is told places of tokens from 264 px on."""
        size = (259, 300) if self.layout.family.startswith("PixArt") else (150, 214)
        return smooth_picture(*size, count=count)

    def capture(self, block: str, latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The direct capture at the noise level that is read unasked."""
        model, _, conditioning = self.source
        return direct_capture(model, conditioning, (latent, noise, sigma_of(model)), self.layout.patch, block)


# Every family is asked everything; its further forms only what is read of them.
FORMS = ("SD3.5 large", "Flux.1 schnell", "Flux.1 Fill", "Lumina 2", "PixArt alpha")
FAMILIES = [name for name in LAYOUTS if name not in FORMS]
every_form = pytest.mark.parametrize("loaded", [*FAMILIES, *FORMS], indirect=True, scope="module")
every_family = pytest.mark.parametrize("loaded", FAMILIES, indirect=True, scope="module")
# One of each way to read a block, of a latent with an axis for time, of a token that is one cell.
WAYS = ("SD3", "Flux.1 dev", "Flux.2", "Qwen-Image", "Z-Image", "PixArt sigma", "Hunyuan-DiT")
every_way = pytest.mark.parametrize("loaded", WAYS, indirect=True, scope="module")


@pytest.fixture(scope="module")
def loaded(request):
    layout = LAYOUTS[request.param]
    if not layout.known:
        pytest.skip(f"this ComfyUI has no {request.param}")
    yield Loaded(request.param, layout, Source(layout.load(), layout.vae(), layout.conditioning()))
    comfy.model_management.unload_all_models()
    gc.collect()


def sigma_of(model) -> float:
    """The noise at LEVEL: of the model's own schedule where it has 1000 steps, else as much as in Stable Diffusion."""
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, ModelSamplingDiscrete):
        return float(sampling.sigmas[LEVEL])
    signal = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)[LEVEL]
    sigma = ((1 - signal) / signal) ** 0.5
    return sigma if "COSMOS" in model.model.model_type.name else sigma / (1 + sigma)


def noise_of(trajectory: Trajectory, size=None) -> torch.Tensor:
    shape = torch.Size((*trajectory.latent.shape[:2], *(size or trajectory.latent.shape[2:])))
    return noise_for(shape, trajectory.seed, trajectory.timesteps, {LEVEL})[LEVEL]


def check_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To 1e-5 of the largest value."""
    assert found.shape == expected.shape and expected.isfinite().all()
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"largest error {error:.1e}")
    assert error < 1e-5


@every_form
def test_features_are_what_the_attention_of_a_block_gives_the_pictures_tokens(loaded):
    block = loaded.layout.blocks[1]
    features, trajectory = extract_features(loaded.source, loaded.picture(), SEED, reading=Reading(layer=block))
    expected = loaded.capture(block, trajectory.latent, noise_of(trajectory))
    assert expected.flatten(1, 2).std(1).max() > 1e-3 * expected.std(), "tokens must differ"
    check_equal(features.features, expected)


@every_family
def test_how_tokens_attend_to_each_other_is_read_or_it_is_said_that_it_cannot_be(loaded, monkeypatch):
    notes = []
    monkeypatch.setattr(attention, "show_notes", notes.extend)
    reading = Reading(layer=loaded.layout.blocks[0], attention=True)
    features, _ = extract_features(loaded.source, loaded.picture(), reading=reading)
    if network.of(loaded.source.model).family.projection:
        assert features.chains is None and "cannot be read" in notes[0]
    else:
        assert features.chain_grid == tuple(features.features.shape[1:3]) and not notes
        assert (features.chains.float().mean(1) - 1).abs().max() < 0.01


@every_family
def test_every_picture_of_a_batch_is_read_by_itself(loaded):
    """Also where the VAE would take a batch for a video."""
    block = loaded.layout.blocks[0]
    pictures = torch.cat([loaded.picture(), loaded.picture().flip(2)])
    features, trajectory = extract_features(loaded.source, pictures, SEED, reading=Reading(layer=block))
    noise = noise_of(trajectory)
    for n in range(2):
        own = slice(n, n + 1)
        check_equal(features.features[own], loaded.capture(block, trajectory.latent[own], noise[own]))


@every_family
def test_with_surroundings_and_mirrored_features_are_the_mean_of_the_views(loaded):
    block, layout = loaded.layout.blocks[1], loaded.layout
    reading = Reading(layer=block, surroundings=0.25, mirrored=True)
    features, trajectory = extract_features(loaded.source, loaded.picture(), SEED, reading=reading)
    size, grid = tuple(trajectory.latent.shape[2:]), tuple(features.features.shape[1:3])
    seen = views(0.25, True, False, size, grid, layout.patch)
    noise = noise_of(trajectory, seen[0].canvas)
    each = ((view, loaded.capture(block, canvas_of(trajectory.latent, view), noise)) for view in seen)
    check_equal(features.features, mean_reading(each, grid, False))


@every_way
def test_the_model_is_left_as_it_was(loaded):
    """The host's sampler gives the very same, and no hook is left anywhere."""
    model = loaded.source.model
    latent = extract_features(loaded.source, loaded.picture(), SEED)[1].latent
    options, before = repr(model.model_options), sampled(loaded, latent)
    for block in loaded.layout.blocks:
        extract_features(loaded.source, loaded.picture(), SEED, reading=Reading(layer=block))
    assert torch.equal(sampled(loaded, latent), before) and before.isfinite().all()
    assert repr(model.model_options) == options
    assert not hooks_of_torch._global_forward_pre_hooks and not hooks_of_torch._global_forward_hooks
    assert not any(each._forward_pre_hooks or each._forward_hooks for each in model.model.modules())


def sampled(loaded: Loaded, latent: torch.Tensor) -> torch.Tensor:
    """Two steps of the host's own sampler, half of the way."""
    model, _, conditioning = loaded.source
    latent = comfy.sample.fix_empty_latent_channels(model, latent)
    noise = comfy.sample.prepare_noise(latent, 1)
    settings = 2, 1.0, "euler", "simple", conditioning, conditioning, latent
    return comfy.sample.sample(model, noise, *settings, denoise=0.5, disable_pbar=True, seed=1)


@every_way
def test_a_draft_covers_a_picture_of_any_size(loaded):
    picture, segments = loaded.picture(2), 4
    features, trajectory = extract_features(
        loaded.source, picture, reading=Reading(layer=loaded.layout.blocks[0], surroundings=0.25)
    )
    masks = cluster_features(features, segments, restarts=1)
    maps = modulate_attention(loaded.source, trajectory, masks, Push("draft"), image=picture)
    labels = assemble_masks(maps, image=picture).labels
    drawn = one_hot(labels, segments).flatten(0, 1)
    assert drawn.shape == (2 * segments, *picture.shape[1:3]) and drawn.dtype == torch.float32
    assert torch.equal(drawn.unflatten(0, (2, segments)).sum(1), torch.ones(picture.shape[:3]))
    # Of random weights a cluster may be so scattered that it vanishes along the borders.
    assert all(len(each.unique()) >= segments - 1 for each in labels)


# --- beside other packs: what they do to the model is read too ---


def calls_of(model, patch) -> list:
    """What `patch(calls)` of another pack was called with, which is installed in the model."""
    calls: list = []
    patch(model, calls)
    return calls


def with_doubled_values(model, calls) -> None:
    """An attention of its own, as for SageAttention."""

    def override(function, query, key, value, *args, **kwargs):
        calls.append(query.shape)
        return function(query, key, 2 * value, *args, **kwargs)

    model.model_options["transformer_options"]["optimized_attention_override"] = override


def with_first_blocks_replaced(model, calls) -> None:
    """What goes into the first block of each kind is halved."""

    def replacement(args, extra):
        calls.append(args["img"].shape)
        return extra["original_block"]({**args, "img": args["img"] / 2})

    for kind in ("double_block", "single_block"):
        model.set_model_patch_replace(replacement, "dit", kind, 0)


def with_a_wrapper(model, calls) -> None:
    """The model's function is called with half of the picture."""

    def wrapper(apply, arguments):
        calls.append(arguments["input"].shape)
        return apply(arguments["input"] / 2, arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(wrapper)


def with_blocks_added_to(model, calls) -> None:
    """As ControlNets for Qwen-Image and Z-Image are applied."""

    def patch(args):
        calls.append(args["img"].shape)
        return {"img": args["img"].flip(-1), "txt": args["txt"]}

    model.set_model_patch(patch, "double_block")


def with_other_weights(model, calls) -> None:
    """What a LoRA comes to once it is loaded."""
    weights = {name: value for name, value in model.model_state_dict().items() if value.ndim == 2}
    shifts = {name: ("diff", (0.1 * value.std() * normal(*value.shape, seed=8),)) for name, value in weights.items()}
    calls += model.add_patches(shifts, 1.0)


class Packed(torch.nn.Module):
    """A projection whose weights are numbers of four bits, unpacked as it runs: as those of GGUF."""

    def __init__(self, linear, calls):
        super().__init__()
        self.scale, self.bias, self.calls = linear.weight.abs().amax(1, keepdim=True) / 7, linear.bias, calls
        self.packed = (linear.weight / self.scale).round().to(torch.int8)

    def forward(self, x):
        self.calls.append(x.shape)
        return torch.nn.functional.linear(x, self.packed * self.scale, self.bias)


def with_packed_weights(model, calls) -> None:
    """Those of the first block."""
    network = model.model.diffusion_model
    first = next(iter(Transformer(model, family_of(model)).blocks().values()))
    path = next(name for name, module in network.named_modules() if module is first)
    for name, module in first.named_modules():
        if isinstance(module, torch.nn.Linear):
            model.add_object_patch(f"diffusion_model.{path}.{name}", Packed(module, calls))


NOT_TOLD = "PixArt alpha", "PixArt sigma", "Hunyuan-DiT"  # of other packs' attention
NOT_REPLACED = ("Lumina 2", "Z-Image", "Krea 2", "HiDream-I1", "Cosmos Predict2", "Anima", "PixArt alpha",
                "PixArt sigma")  # fmt: skip
ADDED_TO = "Qwen-Image", "Lumina 2", "Z-Image"


def patches_for(name: str) -> list:
    """What ComfyUI lets other packs do to a family of transformers."""
    patches = [with_a_wrapper, *((with_other_weights, with_packed_weights) if name in WAYS else ())]
    patches += [] if name in NOT_TOLD else [with_doubled_values]
    patches += [] if name in NOT_REPLACED else [with_first_blocks_replaced]
    return patches + ([with_blocks_added_to] if name in ADDED_TO else [])


@every_family
def test_patches_of_other_packs_are_called(loaded):
    block = loaded.layout.blocks[1]
    for patch in patches_for(loaded.name):
        model = loaded.source.model.clone()
        calls, patched = calls_of(model, patch), loaded._replace(source=loaded.source._replace(model=model))
        options = repr(model.model_options)
        features, trajectory = extract_features(patched.source, loaded.picture(), SEED, reading=Reading(layer=block))
        assert calls and repr(model.model_options) == options
        noise = noise_of(trajectory)
        check_equal(features.features, patched.capture(block, trajectory.latent, noise))
        plain = loaded.capture(block, trajectory.latent, noise)
        assert (features.features - plain).abs().max() > 1e-3 * plain.abs().max(), "the patch must make a difference"


@every_way
def test_a_block_that_another_pack_replaces_altogether_is_not_read(loaded):
    if loaded.name in NOT_REPLACED:
        pytest.skip(f"ComfyUI has no replacements of blocks in {loaded.name}")
    model, (kind, number) = loaded.source.model.clone(), loaded.layout.blocks[0].split()
    own = "single_block" if kind == "single" else "double_block"
    model.set_model_patch_replace(lambda args, extra: args, "dit", own, int(number))
    reading = Reading(layer=loaded.layout.blocks[0])
    with pytest.raises(ValueError, match=f"replaces or skips.*{loaded.layout.blocks[0]}.*choose another feature_layer"):
        extract_features(loaded.source._replace(model=model), loaded.picture(), SEED, reading=reading)


class Control(comfy.controlnet.ControlBase):
    """A ControlNet that adds the same to Flux.1's tokens after every double block."""

    def get_control(self, x, *others):
        tokens = math.prod(-(-side // 2) for side in x.shape[-2:])
        return {"input": 2 * [normal(1, tokens, 256, seed=11).to(x)], "output": []}

    def copy(self):
        self.copy_to(copied := Control())
        return copied


@pytest.mark.parametrize("kind", ["ControlNet", "fp8"])
def test_what_is_put_on_the_model_and_its_text_counts(kind):
    layout = LAYOUTS["Flux.1 dev"]
    options = {"dtype": torch.float8_e4m3fn} if kind == "fp8" else {}
    model, [[text, extras]] = comfy.sd.load_diffusion_model_state_dict(layout.state(), options), layout.conditioning()
    control = {"control": Control(), "control_apply_to_uncond": True} if kind == "ControlNet" else {}
    loaded = Loaded("Flux.1 dev", layout, Source(model, layout.vae(), [[text, extras | control]]))
    block = layout.blocks[1]
    features, trajectory = extract_features(loaded.source, loaded.picture(), SEED, reading=Reading(layer=block))
    x = trajectory.latent, noise_of(trajectory)
    check_equal(features.features, loaded.capture(block, *x))
    usual = loaded._replace(source=Source(layout.load(), layout.vae(), layout.conditioning())).capture(block, *x)
    assert (features.features - usual).abs().max() > 1e-2 * usual.abs().max(), "it must make a difference"
