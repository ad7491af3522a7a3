"""The UNet of a MODEL: its cross-attention layers and their grids, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_base
import comfy.model_sampling
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample

from .hooks import QueryCapture, SelfAttention
from .places import Layer

NOT_BY_TEXT = (comfy.model_base.SVD_img2vid, comfy.model_base.Stable_Zero123, comfy.model_base.SD_X4Upscaler)
SDXL_VECTORS = (2816, 2560)  # widths of the pooled text and sizes that SDXL and its refiner take
POOLED = {"pooled_output": "pooled text"}  # the host's name, and words for it


class UNet:
    """A `Network` that reads queries of a cross-attention layer. `reads` tells whether a MODEL has a UNet at all."""

    lifts = True
    own_timestep = 1  # of the paper
    samplings: tuple[type, ...] = (comfy.model_sampling.EPS,)

    def __init__(self, model):
        self.model = model

    def name(self) -> str:
        return type(self.model.model).__name__

    def reads(self) -> bool:
        suits = isinstance(network_of(self.model), UNetModel) and not isinstance(self.model.model, NOT_BY_TEXT)
        return suits and bool(cross_attention_layers(self.model))

    def find_place(self, name: str) -> Layer:
        return find_layer(self.model, name, last=False)

    def evidence(self, place: Layer) -> str:
        return ""

    def grid_of(self, place: Layer, latent_size: tuple[int, int]) -> tuple[int, int]:
        return grid_of(self.model, place, latent_size)

    def cells_together(self, place: Layer) -> int:
        """4 at SD1.x's coarsest level with text."""
        return 2 ** cross_attention_layers(self.model)[place]

    def cells_in_token(self) -> int:
        return 1

    def limits(self) -> tuple[int, None]:
        return 0, None

    def own_pixels(self, pixels_per_cell: int) -> int:
        """512 (SD1.x), 768 (SD2.1-v), 1024 (SDXL) where a cell stands for 8."""
        config = self.model.get_model_object("model_config").unet_config
        if config.get("adm_in_channels") in SDXL_VECTORS:
            return 128 * pixels_per_cell
        if config.get("context_dim") == 1024 and "V_PREDICTION" in self.model.get_model_object("model_type").name:
            return 96 * pixels_per_cell  # SD2.1-v
        return 64 * pixels_per_cell

    def capture(self, place: Layer, grid: tuple[int, int]) -> QueryCapture:
        return QueryCapture(place)

    def attention_grid(self, place: Layer, latent_size: tuple[int, int]) -> tuple[int, int]:
        return grid_of(self.model, finest_output_layers(self.model)[0], latent_size)

    def capture_attention(self, place: Layer, grid: tuple[int, int], finer: int, attend: Callable) -> SelfAttention:
        return SelfAttention(finest_output_layers(self.model), finer, attend)

    def layers_to_pass(self) -> int:
        return len(cross_attention_layers(self.model))

    def context_width(self) -> int:
        return self.model.get_model_object("model_config").unet_config["context_dim"]

    def needs_beside_text(self) -> dict[str, str]:
        return POOLED if self.model.get_model_object("adm_channels") in SDXL_VECTORS else {}

    def other_pictures(self) -> dict[str, str]:
        return {}  # ReferenceLatent's are ignored, the others are channels of this one

    def read_with(self, conditioning: list) -> list:
        return conditioning


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


def finest_output_layers(model) -> list[Layer]:
    """The layers of the finest output level that has any, without its last block's: output 9 and 10 in SD1.x (M2N2).

    The last block's are nearest to the noise that the network predicts. They are used only where there are no others.
    """
    outputs = {each: n for each, n in cross_attention_layers(model).items() if each.block == "output"}
    finest = [layer for layer, halvings in outputs.items() if halvings == min(outputs.values())]
    return [layer for layer in finest if layer.number < finest[-1].number] or finest


def grid_of(model, layer: Layer, latent_size: tuple[int, int]) -> tuple[int, int]:
    """The layer's feature grid (h, w): the latent's size, halved and rounded up at every downsampling before it."""
    height, width = latent_size
    for _ in range(cross_attention_layers(model)[layer]):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


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
