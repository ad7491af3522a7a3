"""Beside the hooks of other packs: each is honoured, giving what the plain procedure gives with it, or bypassed."""

from typing import NamedTuple

import comfy.controlnet
import comfy.hooks
import comfy.model_management
import comfy.ops
import comfy.samplers
import comparing
import pytest
import torch
from checkpoints import SD1
from comfy.cldm.cldm import ControlNet
from comfy.context_windows import ContextFuseMethods, IndexListContextHandler, get_matching_context_schedule
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_freelunch import Fourier_filter
from comparing import prepare
from emerdiff.nodes.host import hooks, session, unet
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import LowResMasks, Trajectory

from reference.random_weights import random_state

ONE, TWO = 1, 21  # the timestep that is pushed, for so many evaluations
STRENGTH = 5.0
SEED = 7


class Prepared(NamedTuple):
    """A picture, and what the unpatched model makes of it."""

    image: torch.Tensor
    features: torch.Tensor
    trajectory: Trajectory
    low_res: LowResMasks
    ours: torch.Tensor  # difference maps of two evaluations
    plain: torch.Tensor  # those of one by the plain procedure


@pytest.fixture(scope="module")
def prepared(sd1, photo):
    image = photo[:, :96, :64]
    with torch.inference_mode():
        features, *others = prepare(sd1, image, 2, seed=SEED)
        start = Prepared(image, features.features, *others, None, None)
        return start._replace(ours=ours(sd1, start, TWO), plain=plain(sd1, start))


def ours(source, prepared, timestep=ONE, rows=None):
    push = Push(strength=STRENGTH, timestep=timestep)
    return modulate_attention(source, prepared.trajectory, prepared.low_res, push, rows).difference[0]


def plain(loaders, prepared):
    return comparing.plain(loaders, prepared.trajectory, prepared.low_res.masks[0], ONE, STRENGTH)


def sample(loaders):
    """What the user's own sampling gives."""
    model, _, conditioning = loaders
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(2.0)
    noise = torch.randn(1, 4, 12, 8, generator=torch.Generator().manual_seed(1))
    sigmas = torch.tensor([1.0, 0.0])
    return guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"), sigmas, seed=1)


def differ(one, other):
    return ((one - other).abs().max() / other.max()).item()


def attend(q, k, v, options):
    return optimized_attention(q, k, v, options["n_heads"], transformer_options=options)


def decoupled(q, k, v, options):
    """As IPAdapter: a second attention, to a picture's tokens, that are there once for every row."""
    assert q.shape[0] % len(options["cond_or_uncond"]) == 0 and len(q) == len(k) == len(v)
    tokens = torch.linspace(-1, 1, 4 * k.shape[-1]).view(1, 4, -1).repeat(len(q), 1, 1)
    return attend(q, k, v, options) + 0.5 * attend(q, tokens, tokens, options)


def sharpened(q, k, v, options):
    """As PLADIS and SAG: takes the batch apart by conditionings, and needs one of the same size everywhere."""
    assert len(q) == len(k) == len(v)
    parts = len(options["cond_or_uncond"])
    each = zip(q.chunk(parts), k.chunk(parts), v.chunk(parts), strict=True)
    return torch.cat([0.7 * attend(*part, options) for part in each])


def core(name: str, node: str, *inputs, **options):
    """A patch that one of the host's own nodes makes."""

    def patch(model):
        module = __import__(f"comfy_extras.{name}", fromlist=[node])
        made = getattr(module, node)
        made = made.execute(model, *inputs, **options) if hasattr(made, "execute") else made().patch(model, *inputs)
        return made[0]

    return patch


def replace(attention: str, function, keys):
    def patch(model):
        model = model.clone()
        for key in keys:
            getattr(model, f"set_model_{attention}_replace")(function, *key)
        return model

    return patch


def lists(**patches):
    def patch(model):
        model = model.clone()
        for name, function in patches.items():
            model.set_model_patch(function, name)
        return model

    return patch


def doubled_for_areas(n, context, value, options):
    """As regional prompts do: the batch grows inside, and the output patch brings it back."""
    return n.repeat(2, 1, 1), torch.cat([context, -context]), torch.cat([value, value * 0.5])


def halved_again(n, options):
    first, second = n.chunk(2)
    return (first + second) / 2


def beside_a_box(x, options):
    """As GLIGEN: holds a token for every row of the batch that the sampler sees, and puts it beside the picture's."""
    rows = len(options["cond_or_uncond"]) * len(options["sigmas"])
    tokens = torch.linspace(-9, 9, x.shape[-1]).expand(rows, 1, -1)
    return x + torch.cat([x, tokens], 1).mean(1, keepdim=True)


def strengthened(h, skip, options):
    """As FreeU: writes into h, by its own mean over the channels, and filters the skip's frequencies."""
    weight = h.mean(1, keepdim=True)
    low, high = weight.amin((2, 3), keepdim=True), weight.amax((2, 3), keepdim=True)
    weight = (weight - low) / (high - low)
    h[:, : h.shape[1] // 2] *= 1 + 0.4 * weight
    return h, Fourier_filter(skip, 1, 0.5)


BLOCKS = [("input", 1), ("input", 3), ("middle", 0), ("output", 2), ("output", 3), ("output", 6)]
HONOURED = {
    "attn2 replaced, 2-tuple keys": replace("attn2", decoupled, BLOCKS),
    "attn1 replaced, 3-tuple keys": replace("attn1", sharpened, [(*key, 0) for key in BLOCKS]),
    "attn2 inputs and outputs": lists(attn2_patch=doubled_for_areas, attn2_output_patch=halved_again),
    "middle patch": lists(middle_patch=beside_a_box),
    "HyperTile": core("nodes_hypertile", "HyperTile", 32, 1, 0, False),
    "FreeU": lists(output_block_patch=strengthened),
    "RescaleCFG": core("nodes_model_advanced", "RescaleCFG", 0.7),
}


@pytest.mark.parametrize("name", HONOURED)
def test_honoured_as_the_plain_procedure_honours_it(sd1, prepared, name):
    patched = sd1._replace(model=HONOURED[name](sd1[0]))
    before, options = sample(patched), repr(patched[0].model_options)
    found, reference = ours(patched, prepared), plain(patched, prepared)
    print(f"{name}: largest error {differ(found, reference):.1e} of the maximum")
    assert reference.max() > 1e-3 and differ(found, reference) < 1e-3
    if name != "RescaleCFG":  # guidance, of which there is none
        assert differ(reference, prepared.plain) > 1e-2, "the patch must make a difference"
    assert torch.isfinite(extract_features(patched, prepared.image)[0].features).all()
    assert torch.equal(sample(patched), before) and repr(patched[0].model_options) == options


def test_token_merging_goes_by_the_unmodulated_row(sd1, prepared, monkeypatch):
    """Row 0's matching of tokens holds for every row, so no other row and no size of batch changes it."""
    monkeypatch.setattr(torch, "randint", lambda high, *, size, device: torch.zeros(size, dtype=torch.int64))
    merged = sd1._replace(model=core("nodes_tomesd", "TomePatchModel", 0.4)(sd1.model))
    found = ours(merged, prepared, TWO)
    assert differ(found, ours(merged, prepared, TWO, rows=3)) < 1e-4
    assert differ(found, prepared.ours) > 1e-2, "merging must make a difference"


def frames_of_a_video(model):
    model = model.clone()

    schedule = get_matching_context_schedule("standard_static")
    fuse = [each for name, each in vars(ContextFuseMethods).items() if name == "FLAT"][0]
    handler = IndexListContextHandler(schedule, fuse, context_length=2, context_overlap=0, dim=0)
    model.model_options["context_handler"] = handler
    return model


def compiled_object(model):
    """As packs do that put a compiled module into the model's place."""
    model = model.clone()
    model.add_object_patch("diffusion_model", torch.compile(model.get_model_object("diffusion_model"), backend=count))
    return model


def count(graph, examples):
    compilations.append(graph)
    return graph.forward


compilations = []
BYPASSED = {
    "PAG": core("nodes_pag", "PerturbedAttentionGuidance", 3.0),
    "SAG": core("nodes_sag", "SelfAttentionGuidance", 0.5, 2.0),
    "EasyCache": core("nodes_easycache", "EasyCacheNode", 10.0, 0.0, 1.0, False),
    "LazyCache": core("nodes_easycache", "LazyCacheNode", 10.0, 0.0, 1.0, False),
    "context windows": frames_of_a_video,
    "torch.compile": core("nodes_torch_compile", "TorchCompileModel", count),
    "torch.compile in the model's place": compiled_object,
}


@pytest.mark.parametrize("name", BYPASSED)
def test_bypassed_on_purpose(sd1, prepared, name):
    """The result is that of the model without it; the user's own sampling still has it."""
    compilations.clear()
    patched = sd1._replace(model=BYPASSED[name](sd1[0]))
    options = repr(patched[0].model_options)
    assert differ(ours(patched, prepared, TWO), prepared.ours) < 1e-5
    assert torch.allclose(extract_features(patched, prepared.image, SEED)[0].features, prepared.features, atol=1e-5)
    assert repr(patched[0].model_options) == options
    assert not compilations


def test_a_wrapper_that_splits_the_batch_is_refused(sd1, prepared):
    model = sd1[0].clone()

    def one_by_one(apply, arguments):
        rows, options = arguments["input"].split(1), {**arguments["c"]}
        context = options.pop("c_crossattn").split(1)
        steps = zip(rows, arguments["timestep"].split(1), context)
        return torch.cat([apply(row, t, c_crossattn=c, **options) for row, t, c in steps])

    model.set_model_unet_function_wrapper(one_by_one)
    with pytest.raises(ValueError, match="splits the UNet's batch.*connect the model from before it"):
        ours(sd1._replace(model=model), prepared)


def half(side: str):
    mask = torch.zeros(1, 96, 64)
    mask[:, :, :32] = 1.0
    return {"mask": mask if side == "left" else 1 - mask, "set_area_to_bounds": False, "mask_strength": 0.8}


def several(conditioning):
    """Another prompt on each half of the picture, as ConditioningSetMask and Combine give them."""
    (tokens, extras), *_ = conditioning
    return [[tokens, extras | half("left")], [tokens.flip(-1), extras | half("right")]]


def with_control(conditioning, sd1_layout):
    layout = {key: value for key, value in sd1_layout.items() if not key.startswith(("out_", "transformer_depth_out"))}
    net = ControlNet(**layout, hint_channels=3, dtype=torch.float32, operations=comfy.ops.manual_cast)
    net.load_state_dict(random_state(net, 11))
    control = comfy.controlnet.ControlNet(net, load_device=comfy.model_management.get_torch_device())
    hint = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(2))
    control = control.copy().set_cond_hint(hint, 0.9, (0.0, 1.0))
    return [[tokens, extras | {"control": control, "control_apply_to_uncond": True}] for tokens, extras in conditioning]


def with_weight_hook(model, conditioning):
    """A LoRA that belongs to the conditioning alone."""
    key = "diffusion_model.output_blocks.2.1.transformer_blocks.0.attn1.to_v.weight"
    shift = 0.5 * torch.randn(model.model_state_dict()[key].shape, generator=torch.Generator().manual_seed(4))
    hook = comfy.hooks.WeightHook(strength_model=1.0, strength_clip=0.0)
    hook.weights, hook.need_weight_init = {key: ("diff", (shift,))}, False
    group = comfy.hooks.HookGroup()
    group.add(hook)
    return comfy.hooks.set_hooks_for_conditioning(conditioning, hooks=group)


@pytest.mark.parametrize("kind", ["masks", "combined", "control", "weight hook"])
def test_conditionings_are_honoured(sd1, prepared, kind):
    conditioning = sd1.conditioning
    other = {
        "masks": lambda: several(conditioning),
        "combined": lambda: [*conditioning, [conditioning[0][0].flip(-1), {}]],
        "control": lambda: with_control(conditioning, SD1),
        "weight hook": lambda: with_weight_hook(sd1.model, conditioning),
    }[kind]()
    loaders = sd1._replace(conditioning=other)
    found, reference = ours(loaders, prepared), plain(loaders, prepared)
    print(f"{kind}: largest error {differ(found, reference):.1e} of the maximum")
    assert differ(found, reference) < 1e-3
    assert differ(reference, prepared.plain) > 1e-2, "the conditioning must make a difference"


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"area": (8, 8, 0, 0), "strength": 1.0}, "covers only an area.*empty prompt"),
        ({"area": ("percentage", 0.5, 0.5, 0.0, 0.0)}, "covers only an area"),
        (half("left") | {"set_area_to_bounds": True}, "covers only an area"),
        ({"start_percent": 0.0, "end_percent": 0.2}, "switched off at a noise level"),
    ],
)
def test_conditionings_that_leave_the_picture_unread_are_refused(sd1, prepared, extras, message):
    loaders = sd1._replace(conditioning=[[sd1.conditioning[0][0], extras]])
    for run in (lambda: ours(loaders, prepared), lambda: extract_features(loaders, prepared.image)):
        with pytest.raises(ValueError, match=message):
            run()


def test_words_are_read_beside_a_replaced_attention(sd1, prepared):
    """Features and words are read at layers where another pack's attention runs, and that one runs too."""
    calls = []

    def counted(q, k, v, options):
        calls.append(options["block"])
        return decoupled(q, k, v, options)

    layers = unet.coarsest_output_layers(sd1[0])
    model = replace("attn2", counted, [each[:2] for each in layers])(sd1[0])
    reading = hooks.WordAttention(layers, torch.ones(1, 77), session.attend)

    def work(x0, predict):
        return predict(x0, 1.0, reading)

    found = session.run_session(model, sd1[2], prepared.trajectory.latent, work)
    assert set(reading.maps) == set(layers) and len(calls) == len(layers) and torch.isfinite(found).all()


def test_a_picture_that_shrinks_inside_the_unet_is_refused(sd1, prepared):
    """Kohya's deep shrink, where it reaches down to the noise levels that are pushed."""
    shrink = core("nodes_model_downscale", "PatchModelAddDownscale", 3, 2.0, 0.0, 1.0, True, "bicubic", "bicubic")
    with pytest.raises(ValueError, match="changes the size of the picture inside the UNet at output 3.0"):
        ours(sd1._replace(model=shrink(sd1[0])), prepared)
