"""Transformers in the true layouts of their families, small, with random weights, and what the host asks for with them.

Widths of texts, patches, latents and heads are the families' own; there are fewer blocks and fewer heads. Families that
the host tells by the names and shapes of their weights are loaded by its own loader; those that it tells by their full
widths are filled in the host's own class.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models as supported
import torch
import transformer_forms as form
from torch import Tensor, nn

POOL = 2**22
TOKENS = 12  # of a text


class Layout(NamedTuple):
    """A family: the host's name for it, its form, and what its conditioning carries."""

    family: str  # in comfy.supported_models
    config: dict
    blocks: tuple[str, ...]  # two of them
    width: int  # of the text
    extras: Callable[[], dict] = dict  # of the conditioning, besides the text
    loaded: bool = False  # by the host's own loader
    cell: int = 8  # pixels a side of a cell of the latent
    patch: int = 2  # cells a side of a token
    tokens: int = TOKENS

    @property
    def known(self) -> bool:
        return hasattr(supported, self.family)

    @property
    def latent_channels(self) -> int:
        return getattr(supported, self.family).latent_format.latent_channels

    @property
    def latent_axes(self) -> int:
        return getattr(supported, self.family).latent_format.latent_dimensions

    def model(self, device: str | None = None):
        """The host's own model, weights not set."""
        config = getattr(supported, self.family)({**self.config})
        config.set_inference_dtype(torch.float32, None)
        return config.get_model({}, "", device=device)

    def state(self) -> dict:
        """Random weights under the names that files give them."""
        state = weights(self.model("meta").diffusion_model)
        if self.family.startswith("PixArt"):
            state["pos_embed"] = torch.zeros(1, 64**2, 1152)  # that of 1024 px: the host reads its size
        return state

    def load(self) -> comfy.model_patcher.ModelPatcher:
        """MODEL."""
        if self.loaded:
            return comfy.sd.load_diffusion_model_state_dict(self.state())
        model, management = self.model(), comfy.model_management
        if self.family == "Anima":
            del model.diffusion_model.llm_adapter.blocks[1:]  # its reader of texts has one width
        model.diffusion_model.load_state_dict(weights(model.diffusion_model), assign=True)
        return comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())

    def conditioning(self, seed: int = 5) -> list:
        """CONDITIONING of a random text."""
        return [[normal(1, self.tokens, self.width, seed=seed), {"pooled_output": None, **self.extras()}]]

    def vae(self) -> comfy.sd.VAE:
        """VAE that makes latents of the family's form, by a random projection of each cell's pixels."""
        return projecting_vae(self.latent_channels, self.cell, moving=self.latent_axes == 3)


class Words:
    """A CLIP of random vectors, one for each number that a family's own tokenizer makes.

    `kept`: which tokens are left when the template's are taken away.
    """

    def __init__(self, layout: Layout, tokenizer, kept: slice = slice(None)):
        self.layout, self.tokenizer, self.kept = layout, tokenizer, kept

    def tokenize(self, text, return_word_ids=False, **others):
        return self.tokenizer.tokenize_with_weights(text, return_word_ids, **others)

    def encode_from_tokens_scheduled(self, tokens):
        entries = [entry[0] for chunk in list(tokens.values())[-1] for entry in chunk]
        numbers = [entry if isinstance(entry, int) else 0 for entry in entries][self.kept]  # 0: a picture
        return [[torch.stack([normal(self.layout.width, seed=each) for each in numbers])[None], self.layout.extras()]]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@cache
def pool() -> Tensor:
    return normal(POOL, seed=0)


def weights(network: nn.Module) -> dict:
    """Random weights that keep activations near unit size: each a piece of one store of random numbers, scaled."""
    return {name: random_weight(name, value, n) for n, (name, value) in enumerate(network.state_dict().items())}


def random_weight(name: str, value: Tensor, number: int) -> Tensor:
    if value.ndim == 1 and name.endswith(("weight", "scale")):
        return torch.ones(value.shape)
    scale = value[0].numel() ** -0.5 if value.ndim > 1 and name.endswith("weight") else 0.1
    if value.numel() > POOL:
        return (pool().repeat(-(-value.numel() // POOL))[: value.numel()] * scale).view(value.shape)
    begin = number * 99_991 % (POOL - value.numel() + 1)
    return (pool()[begin : begin + value.numel()] * scale).view(value.shape)


class Projection(nn.Module):
    """A random projection of every cell's pixels, and back; with an axis for time as in Wan's: 1 + 4 n pictures."""

    def __init__(self, channels: int, cell: int):
        super().__init__()
        self.matrix = nn.Parameter(normal(channels, 3 * cell**2, seed=1) * (3 * cell**2) ** -0.5, requires_grad=False)
        self.cell = cell

    def encode(self, pixels: Tensor) -> Tensor:
        if pixels.ndim == 5:
            return torch.stack([self.encode(pixels[:, :, n]) for n in range(0, pixels.shape[2], 4)], 2)
        cells = nn.functional.pixel_unshuffle(pixels, self.cell)
        return torch.einsum("dc,bchw->bdhw", self.matrix, cells)

    def decode(self, latents: Tensor) -> Tensor:
        if latents.ndim == 5:
            return torch.stack([self.decode(latents[:, :, n]) for n in range(latents.shape[2])], 2)
        return nn.functional.pixel_shuffle(torch.einsum("dc,bdhw->bchw", self.matrix, latents), self.cell)


def projecting_vae(channels: int, cell: int, moving: bool) -> comfy.sd.VAE:
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    vae.first_stage_model, vae.latent_channels = Projection(channels, cell), channels
    vae.downscale_ratio = vae.upscale_ratio = cell
    if moving:  # as of Wan: pictures are the frames of one video
        vae.latent_dim = 3
        vae.downscale_ratio = (lambda frames: (frames + 3) // 4, cell, cell)
        vae.upscale_ratio = (lambda frames: frames * 4 - 3, cell, cell)
        vae.memory_used_encode = vae.memory_used_decode = lambda shape, dtype: 4 * shape[-2] * shape[-1]
    vae.process_input = lambda image: image * 2 - 1
    vae.process_output = lambda image: image.add_(1).div_(2).clamp_(0, 1)
    management = comfy.model_management
    vae.patcher = comfy.model_patcher.ModelPatcher(vae.first_stage_model, vae.device, management.vae_offload_device())
    return vae


# --- what conditionings carry besides the text ---


def pooled(width: int) -> Callable[[], dict]:
    return lambda: {"pooled_output": normal(1, width, seed=6)}


def llama() -> dict:
    """HiDream's second text: the states of all layers of a language model."""
    return {**pooled(2048)(), "conditioning_llama3": normal(1, 3, TOKENS, 4096, seed=7)}


def mt5() -> dict:
    """Hunyuan-DiT's second text, and which tokens of both are words."""
    masks = {"attention_mask": torch.ones(1, 77), "attention_mask_mt5xl": (torch.arange(256) < 20).float()[None]}
    return {**masks, "conditioning_mt5xl": normal(1, 256, 2048, seed=7)}


def words_of_t5() -> dict:
    """Anima's words, by which it reads the text."""
    return {"t5xxl_ids": torch.arange(3, 3 + TOKENS), "t5xxl_weights": torch.ones(TOKENS)}


def all_words() -> dict:
    return {"attention_mask": torch.ones(1, TOKENS)}


# --- the families ---

SD35 = {**form.SD3, "qk_norm": "rms"}
MMDIT_X = {**SD35, "x_block_self_attn_layers": [0, 1]}
SCHNELL = {**form.FLUX, "guidance_embed": False}
ALPHA = {**form.PIXART, "image_model": "pixart_alpha", "hidden_size": 144, "num_heads": 2, "micro_condition": True}
SIGMA = {**form.PIXART, "image_model": "pixart_sigma", "micro_condition": False, "model_max_length": 300}
FLUX_BLOCKS = ("double 1", "single 2")
LAYOUTS = {
    "SD3": Layout("SD3", form.SD3, ("block 0", "block 2"), 4096, pooled(2048), loaded=True),
    "SD3.5 medium": Layout("SD3", MMDIT_X, ("block 1", "block 2"), 4096, pooled(2048), loaded=True),
    "SD3.5 large": Layout("SD3", SD35, ("block 0", "block 3"), 4096, pooled(2048), loaded=True),
    "Flux.1 dev": Layout("Flux", form.FLUX, FLUX_BLOCKS, 4096, pooled(768), loaded=True),
    "Flux.1 schnell": Layout("FluxSchnell", SCHNELL, FLUX_BLOCKS, 4096, pooled(768), loaded=True),
    "Flux.1 Fill": Layout("FluxInpaint", {**form.FLUX, "in_channels": 96}, FLUX_BLOCKS, 4096, pooled(768), loaded=True),
    "Flux.2": Layout("Flux2", form.FLUX2, FLUX_BLOCKS, 7680, loaded=True, cell=16, patch=1),
    "Chroma": Layout("Chroma", form.CHROMA, FLUX_BLOCKS, 4096),
    "LongCat-Image": Layout("LongCatImage", form.LONGCAT, FLUX_BLOCKS, 3584, loaded=True),
    "Hunyuan Image 2.1": Layout("HunyuanImage21", form.HUNYUAN_IMAGE, FLUX_BLOCKS, 3584, loaded=True, cell=32, patch=1),
    "Qwen-Image": Layout("QwenImage", form.QWEN, ("block 0", "block 2"), 3584),
    "Lumina 2": Layout("Lumina2", form.LUMINA, ("block 0", "block 2"), 2304, all_words),
    "Z-Image": Layout("ZImage", form.Z_IMAGE, ("block 0", "block 2"), 2560, all_words),
    "Krea 2": Layout("Krea2", form.KREA2, ("block 0", "block 2"), 12 * 80, loaded=True),
    "AuraFlow": Layout("AuraFlow", form.AURA, ("double 1", "single 1"), 2048),
    "HiDream-I1": Layout("HiDream", form.HIDREAM, ("double 1", "single 1"), 4096, llama),
    "Cosmos Predict2": Layout("CosmosT2IPredict2", form.COSMOS, ("block 0", "block 2"), 1024),
    "Anima": Layout("Anima", {**form.COSMOS, "image_model": "anima"}, ("block 0", "block 2"), 1024, words_of_t5),
    "PixArt alpha": Layout("PixArtAlpha", ALPHA, ("block 0", "block 1"), 4096),
    "PixArt sigma": Layout("PixArtSigma", SIGMA, ("block 0", "block 1"), 4096, loaded=True),
    "Hunyuan-DiT": Layout("HunyuanDiT", form.HUNYUAN_DIT, ("block 1", "block 3"), 1024, mt5, loaded=True, tokens=77),
}
