"""The small trained model as the host's own objects: MODEL, VAE and CONDITIONING.

A UNet of SD1.x's form at a fraction of its size (three cross-attention layers at the coarsest output level
that has any), on a 32 x 32 x 48 latent that is the 128 x 128 image itself, pixel-unshuffled: a lossless VAE.
Needs ComfyUI on `sys.path`; imported only by the training, the tests and the development nodes beside it.
"""

from __future__ import annotations

from pathlib import Path

import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

WEIGHTS = Path(__file__).parent / "small_model.safetensors"
PATCH = 4  # pixels on a side that one latent cell holds
VOCABULARY = ("<pad>", "sky", "ground", "disc", "square", "triangle", "ring", "star", "bar")
TOKENS = 6  # words in a prompt, padded
CONTEXT_WIDTH = 64
# RGB in -1..1 has a standard deviation of about 0.5, and neighbouring pixels repeat each other. Halving it makes
# SD's noise levels destroy about as much of a picture as they do in SD's own, denser latent space.
SCALE_FACTOR = 0.5

UNET_CONFIG = {
    "image_size": 32,
    "in_channels": 3 * PATCH**2,
    "out_channels": 3 * PATCH**2,
    "model_channels": 64,
    "channel_mult": (1, 2, 2),
    "num_res_blocks": [1, 2, 1],
    "transformer_depth": [0, 1, 1, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 1, 1, 1, 0, 0],
    "use_spatial_transformer": True,
    "context_dim": CONTEXT_WIDTH,
    "num_heads": -1,
    "num_head_channels": 32,
    "legacy": False,
}

Loaders = tuple[comfy.model_patcher.ModelPatcher, comfy.sd.VAE, list]  # MODEL, VAE, CONDITIONING


def make_unet(dtype: torch.dtype = torch.float32) -> UNetModel:
    """The host's own UNet in the small model's shape, weights not set."""
    return UNetModel(**UNET_CONFIG, dtype=dtype, operations=comfy.ops.disable_weight_init)


class UnshuffledPixels(comfy.latent_formats.LatentFormat):
    latent_channels = 3 * PATCH**2
    scale_factor = SCALE_FACTOR
    spacial_downscale_ratio = PATCH


class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
    """SD's noise schedule, for a UNet that predicts the picture itself."""


class SmallModel(comfy.supported_models_base.BASE):
    unet_extra_config: dict[str, object] = {}
    latent_format = UnshuffledPixels

    def inpaint_model(self):
        return False  # the host takes any model with more than four input channels for an inpainting one


def load_model(dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS) -> comfy.model_patcher.ModelPatcher:
    """MODEL: the trained UNet in the host's ModelPatcher."""
    config = SmallModel({**UNET_CONFIG, "dtype": dtype})
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "")
    model.model_sampling = Sampling(config)
    state = {key[len("unet.") :]: value for key, value in load_file(weights).items() if key.startswith("unet.")}
    model.diffusion_model.load_state_dict({key: value.to(dtype) for key, value in state.items()})
    management = comfy.model_management
    return comfy.model_patcher.ModelPatcher(model, management.get_torch_device(), management.unet_offload_device())


def load_conditioning(words: list[str], weights: Path = WEIGHTS) -> list:
    """CONDITIONING of a list of words; an empty list is the empty prompt."""
    unknown = sorted(set(words) - set(VOCABULARY))
    if unknown:
        raise ValueError(f"the small model knows only the words {VOCABULARY[1:]}, not {unknown}")
    table = load_file(weights)["words"].float()  # [words, width]
    tokens = [VOCABULARY.index(word) for word in words[:TOKENS]]
    tokens += [0] * (TOKENS - len(tokens))
    return [[table[torch.tensor(tokens)][None], {}]]  # [1, tokens, width]


class WordList:
    """CLIP, as far as the pack and CLIPTextEncode use one: the words of VOCABULARY, a trained vector each."""

    def tokenize(self, text: str, return_word_ids: bool = False, **_) -> dict:
        """{"words": one list of `TOKENS` (token, weight[, word number])}; the padding has the word number 0."""
        words = text.split()[:TOKENS]
        unknown = sorted(set(words) - set(VOCABULARY[1:]))
        if unknown:
            raise ValueError(f"the small model knows only the words {VOCABULARY[1:]}, not {unknown}")
        tokens = [(VOCABULARY.index(word), 1.0, number) for number, word in enumerate(words, 1)]
        tokens += [(0, 1.0, 0)] * (TOKENS - len(words))
        return {"words": [tokens if return_word_ids else [token[:2] for token in tokens]]}

    def encode_from_tokens_scheduled(self, tokens: dict, **_) -> list:
        """CONDITIONING of what `tokenize` gave."""
        return load_conditioning([VOCABULARY[token] for token, *_ in tokens["words"][0] if token])


def load(dtype: torch.dtype = torch.float32) -> Loaders:
    """(MODEL, VAE, CONDITIONING), the latter of the empty prompt."""
    return load_model(dtype), load_vae(), load_conditioning([])


class UnshuffleAutoencoder(nn.Module):
    """pixel_unshuffle and its inverse, in the shape the host's VAE wrapper calls."""

    def encode(self, pixels):
        return pixel_unshuffle(pixels, PATCH)

    def decode(self, latent, **_):
        return pixel_shuffle(latent, PATCH)


def load_vae() -> comfy.sd.VAE:
    """VAE: the host's wrapper around the lossless pixel unshuffle."""
    return wrapped(UnshuffleAutoencoder(), 3 * PATCH**2, PATCH)


def wrapped(autoencoder: nn.Module, channels: int, cell: int) -> comfy.sd.VAE:
    """An autoencoder of pictures in -1..1 in the host's wrapper; a cell of its latents is `cell` pixels a side."""
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    vae.first_stage_model = autoencoder
    vae.latent_channels = channels
    vae.downscale_ratio = vae.upscale_ratio = cell
    vae.process_input = lambda image: image * 2 - 1
    vae.process_output = _to_unit_range
    management = comfy.model_management
    vae.patcher = comfy.model_patcher.ModelPatcher(vae.first_stage_model, vae.device, management.vae_offload_device())
    return vae


def _to_unit_range(image):
    """In place, because newer hosts ignore the return value."""
    return image.add_(1).div_(2).clamp_(0, 1)
