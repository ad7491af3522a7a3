"""The UNet of a MODEL: its cross-attention layers and their grids, and what it takes."""

from __future__ import annotations

from typing import Any, NamedTuple

import comfy.model_base
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample

NOT_BY_TEXT = (comfy.model_base.SVD_img2vid, comfy.model_base.Stable_Zero123, comfy.model_base.SD_X4Upscaler)
SDXL_VECTORS = (2816, 2560)  # widths of the pooled text and sizes that SDXL and its refiner take


class Layer(NamedTuple):
    """A cross-attention layer of the UNet: block name, block number, transformer inside the block."""

    block: str
    number: int
    transformer: int

    def __str__(self) -> str:
        return f"{self.block} {self.number}.{self.transformer}"


# --- layers and grids ---


def find_layer(model, name: str, last: bool) -> Layer:
    """The layer of a name like "output 4" or "output 1.4".

    "auto" is the first (or last) cross-attention of the coarsest output level that has any: output 3 and 5 in SD1.x.
    """
    layers = cross_attention_layers(model)
    wanted = " ".join(name.lower().split())
    if wanted == "auto":
        candidates = coarsest_output_layers(model)
    else:
        candidates = [layer for layer in layers if wanted in (str(layer), f"{layer.block} {layer.number}")]
    if not candidates:
        known = ", ".join(dict.fromkeys(f"{layer.block} {layer.number}" for layer in layers))
        raise ValueError(f'this model has no cross-attention layer "{name}"; use "auto" or one of: {known}')
    return candidates[-1 if last else 0]


def coarsest_output_layers(model) -> list[Layer]:
    """The cross-attention layers of the coarsest output level that has any: output 3, 4 and 5 in SD1.x."""
    outputs = {each: n for each, n in cross_attention_layers(model).items() if each.block == "output"}
    return [layer for layer, halvings in outputs.items() if halvings == max(outputs.values())]


def grid_of(model, layer: Layer, latent_size: tuple[int, int]) -> tuple[int, int]:
    """The layer's feature grid (h, w): the latent's size, halved and rounded up at every downsampling before it."""
    height, width = latent_size
    for _ in range(cross_attention_layers(model)[layer]):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


def cells_together(model, layer: Layer) -> int:
    """Cells of the latent on a side of one cell of the layer's grid: 4 at SD1.x's coarsest level with text."""
    return 2 ** cross_attention_layers(model)[layer]


def cross_attention_layers(model) -> dict[Layer, int]:
    """Every cross-attention layer in running order, with how often the latent has been halved there."""
    unet = network_of(model)
    blocks = [("input", number, block) for number, block in enumerate(unet.input_blocks)]
    blocks += [("middle", 0, unet.middle_block)] if unet.middle_block is not None else []
    blocks += [("output", number, block) for number, block in enumerate(unet.output_blocks)]
    layers, halvings = {}, 0
    for name, number, block in blocks:
        for part in block:
            halvings += isinstance(part, Downsample) - isinstance(part, Upsample)
            for index, transformer in enumerate(getattr(part, "transformer_blocks", [])):
                if getattr(transformer, "attn2", None) is not None:
                    layers[Layer(name, number, index)] = halvings
    return layers


def network_of(model) -> Any:
    network = model.get_model_object("diffusion_model")
    return getattr(network, "_orig_mod", network)  # of torch.compile


# --- what kind of model it is ---


def reads_text(model) -> bool:
    """Whether the model is a UNet that attends to a text."""
    suits = isinstance(network_of(model), UNetModel) and not isinstance(model.model, NOT_BY_TEXT)
    return suits and bool(cross_attention_layers(model))


def own_cells(model) -> int:
    """Cells on the shorter side of the latent that the model was made for: 64 (SD1.x), 96 (SD2.1-v), 128 (SDXL)."""
    config = model.get_model_object("model_config").unet_config
    if config.get("adm_in_channels") in SDXL_VECTORS:
        return 128
    if config.get("context_dim") == 1024 and "V_PREDICTION" in model.get_model_object("model_type").name:
        return 96  # SD2.1-v
    return 64


def context_width(model) -> int:
    """How many numbers the UNet takes for every token of the text: 768 (SD1.x), 1024 (SD2.x), 2048 (SDXL)."""
    return model.get_model_object("model_config").unet_config["context_dim"]


def takes_pooled_text(model) -> bool:
    return model.get_model_object("adm_channels") in SDXL_VECTORS
