"""The small Flux as the host's own objects: Flux.1 schnell in every respect that EmerDiff touches, but smaller.

A transformer of Flux's form, two streams and then one, that predicts the flow from picture to noise, on the latents of
the small Stable Diffusion's autoencoder and told its words. A token is 2 x 2 cells, 16 pixels a side, as in Flux. For
pictures of 256 px and more. Needs ComfyUI on `sys.path`.
"""

from pathlib import Path

import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch

from .autoencoder import CHANNELS, load_vae
from .host_objects import Loaders, model_patcher
from .small_sd import CONTEXT_WIDTH, TOKENS, Latents
from .words import SMALL_SD, WordList

WEIGHTS = Path(__file__).parent / "small_flux.safetensors"
PATCH = 2  # cells on a side of a token

DEPTHS = {"double": 3, "single": 6}  # blocks of either kind
CONFIG = {
    "image_model": "flux",
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "patch_size": PATCH,
    "vec_in_dim": CONTEXT_WIDTH,
    "context_in_dim": CONTEXT_WIDTH,
    "hidden_size": 160,
    "mlp_ratio": 4.0,
    "num_heads": 5,
    "depth": DEPTHS["double"],
    "depth_single_blocks": DEPTHS["single"],
    "axes_dim": [8, 12, 12],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": False,
    "txt_ids_dims": [],
}


class SmallFlux(comfy.supported_models.FluxSchnell):
    latent_format = Latents


class PooledWords(WordList):
    """Words whose conditioning has a pooled text too, as Flux asks for: the mean of all vectors, of the padding too.

    Of a sentence, as edit models are told one, the words that are known count.
    """

    def tokenize(self, text: str, return_word_ids: bool = False, **_) -> dict:
        known = [word for word in text.replace(",", " ").split() if word in self.vocabulary[1:]]
        return super().tokenize(" ".join(known), return_word_ids)

    def encode_from_tokens_scheduled(self, tokens: dict, **_) -> list:
        [[words, _]] = super().encode_from_tokens_scheduled(tokens)
        return [[words, {"pooled_output": words.mean(1)}]]


def load_model(dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS) -> comfy.model_patcher.ModelPatcher:
    """MODEL: the trained transformer in the host's ModelPatcher, with the host's own sampling for flows."""
    return model_patcher(SmallFlux, CONFIG, dtype, weights)


def load_clip() -> PooledWords:
    return PooledWords(SMALL_SD, TOKENS, WEIGHTS)


def load(dtype: torch.dtype = torch.float32) -> Loaders:
    """(MODEL, VAE, CONDITIONING), the latter of the empty prompt. The autoencoder stays in fp32."""
    return load_model(dtype), load_vae(), load_clip().conditioning("")
