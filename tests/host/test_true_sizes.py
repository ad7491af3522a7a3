"""Published transformers at their true sizes, weightless: the host recognises each, and this is what is read of it."""

from typing import NamedTuple

import comfy.model_detection
import comfy.model_patcher
import pytest
import torch
import transformer_forms as form
from emerdiff.nodes.host import network
from transformer_layouts import Layout

CPU = torch.device("cpu")


class Published(NamedTuple):
    family: str  # in comfy.supported_models
    config: dict
    block: str  # that is read unasked
    width: int  # of the text
    sampling: str = "FLOW"  # the host's name for what it predicts
    evidence: str = "a guess"  # that the block is read on


def sd3(depth: int, places: int, **others) -> dict:
    text = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 64 * depth}}
    size = {"depth": depth, "num_patches": places**2, "pos_embed_max_size": places, "context_embedder_config": text}
    return {**form.SD3, **size, **others}


def flux(base: dict, width: int, double: int, single: int, **others) -> dict:
    heads = width // sum(base["axes_dim"])
    return {**base, "hidden_size": width, "num_heads": heads, "depth": double, "depth_single_blocks": single, **others}


def flux2(width: int, double: int, single: int, text: int, guidance=False) -> dict:
    return flux(form.FLUX2, width, double, single, context_in_dim=text, guidance_embed=guidance)


def next_dit(base: dict, width: int, layers: int, heads: int, key_heads: int) -> dict:
    return {**base, "dim": width, "n_layers": layers, "n_heads": heads, "n_kv_heads": key_heads}


def cosmos(width: int, blocks: int, heads: int) -> dict:
    return {**form.COSMOS, "model_channels": width, "num_blocks": blocks, "num_heads": heads, "adaln_lora_dim": 256}


HUNYUAN_DIT_G = {**form.HUNYUAN_DIT, "depth": 40, "hidden_size": 1408, "mlp_ratio": 4.3637}
HUNYUAN_DIT_1 = {**HUNYUAN_DIT_G, "size_cond": True, "use_style_cond": True}
SD35_MEDIUM = sd3(24, 384, qk_norm="rms", x_block_self_attn_layers=list(range(13)))
FLUX1 = flux(form.FLUX, 3072, 19, 38)
SCHNELL = {**FLUX1, "guidance_embed": False}
CHROMA1 = flux(form.CHROMA, 3072, 19, 38, out_dim=3072, hidden_dim=5120, n_layers=5)
HUNYUAN_21 = flux(form.HUNYUAN_IMAGE, 3584, 20, 40, byt5=True)
QWEN_IMAGE = {**form.QWEN, "num_layers": 60, "num_attention_heads": 24}
KREA = {**form.KREA2, "features": 6144, "heads": 48, "kvheads": 12, "layers": 28, "txtdim": 2560}
AURA_03 = {**form.AURA, "dim": 3072, "global_conddim": 3072, "n_heads": 12, "n_double_layers": 4, "n_layers": 36}
HIDREAM_BLOCKS = {"num_attention_heads": 20, "num_layers": 16, "num_single_layers": 32, "llama_layers": [0] * 48}
HIDREAM_I1 = form.HIDREAM | HIDREAM_BLOCKS
PIXART_28 = {**form.PIXART, "depth": 28}
MODELS = {
    "SD3 medium": Published("SD3", sd3(24, 192), "block 9", 4096, evidence="published"),
    "SD3.5 medium": Published("SD3", SD35_MEDIUM, "block 9", 4096, evidence="published"),
    "SD3.5 large": Published("SD3", sd3(38, 192, qk_norm="rms"), "block 15", 4096, evidence="published"),
    "Flux.1 dev": Published("Flux", FLUX1, "double 17", 4096, "FLUX", "published"),
    "Flux.1 schnell": Published("FluxSchnell", SCHNELL, "double 17", 4096, evidence="published"),
    "Flux.1 Fill dev": Published("FluxInpaint", {**FLUX1, "in_channels": 96}, "double 17", 4096, "FLUX", "published"),
    "Flux.2 dev": Published("Flux2", flux2(6144, 8, 48, 15360, guidance=True), "single 8", 15360, "FLUX"),
    "Flux.2 klein 4B": Published("Flux2", flux2(3072, 5, 20, 7680), "single 6", 7680, "FLUX", "found by eye"),
    "Flux.2 klein 9B": Published("Flux2", flux2(4096, 8, 24, 12288), "single 3", 12288, "FLUX", "found by eye"),
    "Chroma": Published("Chroma", CHROMA1, "double 17", 4096, "FLUX"),
    "LongCat-Image": Published("LongCatImage", flux(form.LONGCAT, 3072, 10, 20), "double 9", 3584, "FLUX"),
    "Hunyuan Image 2.1": Published("HunyuanImage21", HUNYUAN_21, "single 1", 3584),
    "Qwen-Image": Published("QwenImage", QWEN_IMAGE, "block 21", 3584, "FLUX"),
    "Lumina 2": Published("Lumina2", next_dit(form.LUMINA, 2304, 26, 24, 8), "block 9", 2304),
    "Z-Image": Published("ZImage", next_dit(form.Z_IMAGE, 3840, 30, 30, 30), "block 18", 2560, evidence="found by eye"),
    "Krea 2": Published("Krea2", KREA, "block 9", 30720, "FLUX"),
    "AuraFlow 0.3": Published("AuraFlow", AURA_03, "single 8", 2048),
    "HiDream-I1": Published("HiDream", HIDREAM_I1, "single 0", 4096),
    "Cosmos Predict2, 2B": Published("CosmosT2IPredict2", cosmos(2048, 28, 16), "block 9", 1024, "FLOW_COSMOS"),
    "Cosmos Predict2, 14B": Published("CosmosT2IPredict2", cosmos(5120, 36, 40), "block 12", 1024, "FLOW_COSMOS"),
    "Anima": Published("Anima", cosmos(2048, 28, 16), "block 9", 1024),
    "PixArt alpha": Published("PixArtAlpha", {**PIXART_28, "micro_condition": True}, "block 9", 4096, "EPS"),
    "PixArt sigma": Published(
        "PixArtSigma", {**PIXART_28, "micro_condition": False, "model_max_length": 300}, "block 9", 4096, "EPS"
    ),
    "Hunyuan-DiT 1.2": Published("HunyuanDiT", HUNYUAN_DIT_G, "block 14", 1024, "V_PREDICTION"),
    "Hunyuan-DiT 1.0": Published("HunyuanDiT1", HUNYUAN_DIT_1, "block 14", 1024, "V_PREDICTION"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_published_size_is_recognised_and_read_at_its_block(name):
    published = MODELS[name]
    layout = Layout(published.family, published.config, (), published.width)
    if not layout.known:
        pytest.skip(f"this ComfyUI has no {published.family}")
    state = layout.model("meta").diffusion_model.state_dict()
    config = comfy.model_detection.model_config_from_unet(state, "")
    assert type(config).__name__ == published.family
    config.set_inference_dtype(torch.bfloat16, None)
    model = comfy.model_patcher.ModelPatcher(config.get_model(state, "", device=torch.device("meta")), CPU, CPU)
    assert model.model.model_type.name == published.sampling
    assert shapes(model.model.diffusion_model.state_dict()) == shapes(state), "found by the host as it was made"
    assert str(network.of(model).find_place("auto")) == published.block
    assert network.of(model).evidence(network.of(model).find_place("auto")).startswith(published.evidence)
    assert network.of(model).context_width() == published.width
    assert network.of(model).reads() and network.removes_noise(model) and not network.of(model).lifts


def shapes(state: dict) -> dict:
    return {name: value.shape for name, value in state.items()}
