"""Weights in every precision that users load them in, weights streamed in when memory is short, and LoRAs."""

import checkpoints
import comfy.cli_args
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import pytest
import torch
from comparing import error, plain, prepare, scene_picture
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source

from reference.sd1_checkpoint import SD1_UNET
from small_model.model import UNET_CONFIG, Sampling, SmallModel, load_model

SCENES = 2
SIDE = 64  # pixels: a processor takes thirty times as long in bf16
SEGMENTS = 4
STREAMED = 1_000_000  # bytes of weights that stay; the small checkpoint has over a hundred times as many
# Weights as they are stored, and what the host computes in: on a processor it casts to fp32 whatever it loaded.
STORED = {
    "bf16": (torch.bfloat16, None),
    "bf16, cast": (torch.bfloat16, torch.float32),
    "fp16, cast": (torch.float16, torch.float32),
    "fp8 e4m3fn, cast": (torch.float8_e4m3fn, torch.float32),
}


def stored(dtype: torch.dtype, cast: torch.dtype | None):
    """MODEL: the small trained one with its weights stored in `dtype`, cast for each use as the host does."""
    config = SmallModel({**UNET_CONFIG, "dtype": dtype})
    config.set_inference_dtype(dtype, cast)
    model = config.get_model({}, "")
    model.model_sampling = Sampling(config)
    weights = load_model().model.diffusion_model.state_dict()
    model.diffusion_model.load_state_dict({name: value.to(dtype) for name, value in weights.items()})
    management = comfy.model_management
    return comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())


@pytest.fixture(scope="module")
def pictures(small):
    """(features, trajectory, masks, labels) of some scenes in fp32."""
    prepared = []
    with torch.inference_mode():
        for seed in range(SCENES):
            image = scene_picture(seed, SIDE)
            features, trajectory = extract_features(small, image, seed=seed)
            masks = cluster_features(features, segments=SEGMENTS)
            prepared.append((image, features, trajectory, masks, labels(small, trajectory, masks)))
    return prepared


def labels(loaded, trajectory, masks) -> torch.Tensor:
    return assemble_masks(modulate_attention(loaded, trajectory, masks, Push("fast", 30.0))).labels[0]


@pytest.mark.once
@pytest.mark.parametrize("name", STORED)
def test_labels_agree_with_fp32(small, pictures, name):
    """The same masks are lifted to the same pixels, nearly; and the features are nearly the same."""
    loaded = small._replace(model=stored(*STORED[name]))
    agreements, likeness = [], []
    for seed, (image, features, trajectory, masks, expected) in enumerate(pictures):
        agreements.append((labels(loaded, trajectory, masks) == expected).float().mean())
        ours, _ = extract_features(loaded, image, seed=seed)
        likeness.append(torch.cosine_similarity(ours.features, features.features, dim=-1).mean())
    median, worst = torch.stack(agreements).median().item(), min(agreements).item()
    print(f"{name}: labels agree on {median:.2%} (worst {worst:.2%}), features to {min(likeness):.5f}")
    assert median >= 0.98 and worst >= 0.97
    assert min(likeness) > 0.99


def modulated(loaded, trajectory, masks) -> torch.Tensor:
    return modulate_attention(loaded, trajectory, masks, Push(timestep=1)).difference[0]


def by_the_plain_procedure(loaded, trajectory, masks) -> torch.Tensor:
    return plain(loaded, trajectory, masks.masks[0], 1)


def test_shared_evaluation_in_bf16_differs_from_plain_by_rounding_alone(small):
    """Shared and plain are both about as far from fp32."""
    loaded = small._replace(model=stored(torch.bfloat16, None))
    _, trajectory, masks = prepare(small, scene_picture(0, SIDE), 2, seed=7)
    ours, reference, exact = (
        modulated(loaded, trajectory, masks),
        by_the_plain_procedure(loaded, trajectory, masks),
        modulated(small, trajectory, masks),
    )
    print(f"bf16: shared to plain {error(ours, reference):.1e}, to fp32 {error(ours, exact):.1e}, "
          f"plain to fp32 {error(reference, exact):.1e}")  # fmt: skip
    assert error(ours, reference) < 0.05
    assert error(ours, exact) < 2 * error(reference, exact) + 0.01


# --- fp8 checkpoints ---


def fp8(tensors: dict) -> dict:
    return {name: value.to(torch.float8_e4m3fn) if value.ndim > 1 else value for name, value in tensors.items()}


@pytest.mark.parametrize("kept", [False, True], ids=["as the host likes", "kept in fp8"])
def test_fp8_checkpoint(photo, kept):
    """A file in fp8, stored by the host as it chooses or in fp8 because the user asks for it."""
    state = checkpoints.checkpoint(SD1_UNET)
    state |= fp8({name: value for name, value in state.items() if name.startswith("model.")})
    options = {"dtype": torch.float8_e4m3fn} if kept else {}
    model, _, vae, *_ = comfy.sd.load_state_dict_guess_config(state, output_clip=False, model_options=options)
    assert (model.model.get_dtype() == torch.float8_e4m3fn) == kept
    check(model, vae, photo)


def test_scaled_fp8_checkpoint(photo):
    """Each matrix in fp8 with a scale of its own, as such checkpoints are published."""
    state, prefix = checkpoints.checkpoint(SD1_UNET), "model.diffusion_model."
    for name in [name for name in state if ".transformer_blocks." in name and state[name].ndim == 2]:
        scale = state[name].abs().max() / 448
        state[name] = (state[name] / scale).to(torch.float8_e4m3fn)
        state[name.replace(".weight", ".scale_weight")] = scale
    state[f"{prefix}scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)  # two: products in full precision
    model, _, vae, *_ = comfy.sd.load_state_dict_guess_config(state, output_clip=False)
    check(model, vae, photo)


# On a processor the host computes in fp32 whatever the weights are stored in; it takes no --lowvram or --novram there.
@pytest.mark.parametrize(("flag", "dtype"), [("fp16_unet", torch.float16), ("fp8_e4m3fn_unet", torch.float8_e4m3fn)])
def test_a_host_started_to_save_memory(sd1_checkpoint, photo, monkeypatch, flag, dtype):
    """--fp16-unet and --fp8_e4m3fn-unet, with a checkpoint in fp32."""
    monkeypatch.setattr(comfy.cli_args.args, flag, True)
    model, _, vae, *_ = comfy.sd.load_checkpoint_guess_config(str(sd1_checkpoint), output_clip=False)
    assert (model.model.get_dtype(), model.model.manual_cast_dtype) == (dtype, torch.float32)
    check(model, vae, photo)


def check(model, vae, photo) -> None:
    """Masks of the right form, the maps equal to the plain procedure's."""
    text = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(5))
    loaded = Source(model, vae, [[text, {}]])
    photo = photo[:, :64, :96]
    _, trajectory, masks = prepare(loaded, photo, 2, seed=7)
    ours = modulated(loaded, trajectory, masks)
    assert ours.shape == (2, *photo.shape[1:3]) and ours.dtype == torch.float32
    assert error(ours, by_the_plain_procedure(loaded, trajectory, masks)) < 1e-3


# --- patches and streaming ---


@pytest.fixture
def with_lora(sd1):
    """The random checkpoint with a random LoRA on every projection of its cross-attentions."""
    model = sd1.model
    generator, lora = torch.Generator().manual_seed(1), {}
    for name, value in model.model.diffusion_model.state_dict().items():
        if ".attn2.to_" in name and name.endswith(".weight"):
            key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            lora[f"{key}.lora_up.weight"] = torch.randn(value.shape[0], 4, generator=generator) * 0.05
            lora[f"{key}.lora_down.weight"] = torch.randn(4, value.shape[1], generator=generator) * 0.05
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)
    assert len(patched.patches) == len(lora) / 2
    return sd1._replace(model=patched)


def test_a_lora_counts_and_leaves_the_model_it_is_put_on(sd1, with_lora, photo):
    _, trajectory, masks = prepare(sd1, photo[:, :64, :96], 2, seed=7)
    before, ours = modulated(sd1, trajectory, masks), modulated(with_lora, trajectory, masks)
    assert error(ours, before) > 0.01, "the LoRA must do something"
    assert error(ours, by_the_plain_procedure(with_lora, trajectory, masks)) < 1e-3
    assert torch.equal(modulated(sd1, trajectory, masks), before)


def test_streamed_weights_give_the_same(with_lora, photo, monkeypatch):
    """What the host does where the model does not fit: weights are brought, and patched, each time they are used."""
    _, trajectory, masks = prepare(with_lora, photo[:, :64, :96], 2, seed=7)
    whole = modulated(with_lora, trajectory, masks)
    comfy.model_management.unload_all_models()
    load = comfy.model_patcher.ModelPatcher.partially_load

    def in_part(self, device, extra_memory=0, **options):
        return load(self, device, min(extra_memory, STREAMED), **options)

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "partially_load", in_part)
    streamed = modulated(with_lora, trajectory, masks)
    assert with_lora[0].lowvram_patch_counter() > 0, "some patched weights must be streamed"
    assert with_lora[0].loaded_size() < with_lora[0].model_size() / 2
    monkeypatch.undo()
    comfy.model_management.unload_all_models()
    assert error(streamed, whole) < 1e-4
