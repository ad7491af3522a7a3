"""What the attention of a transformer's block gives the picture's tokens, by hooks on the host's modules alone.

The host's sampler takes the noise in and evaluates the model once; nothing of the pack takes part.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor, nn

# Modules that are given the attention's output, by the host's class of the model and the kind of block.
PROJECTIONS = {
    ("SD3", "block"): "joint_blocks.{}.x_block.attn.proj",
    ("Flux", "double"): "double_blocks.{}.img_attn.proj",
    ("Flux", "single"): "single_blocks.{}.linear2",
    ("QwenImage", "block"): "transformer_blocks.{}.attn.to_out.0",
    ("Lumina2", "block"): "layers.{}.attention.out",
    ("Krea2", "block"): "blocks.{}.attn.wo",
    ("AuraFlow", "double"): "double_layers.{}.attn.w2o",
    ("AuraFlow", "single"): "single_layers.{}.attn.w1o",
    ("HiDream", "double"): "double_stream_blocks.{}.block.attn1.to_out",
    ("HiDream", "single"): "single_stream_blocks.{}.block.attn1.to_out",
    ("CosmosPredict2", "block"): "blocks.{}.self_attn.output_proj",
    ("PixArt", "block"): "blocks.{}.attn.proj",
    ("HunyuanDiT", "block"): "blocks.{}.attn1.out_proj",
}
SAME_FORM = {**dict.fromkeys(("Flux2", "Chroma", "LongCatImage", "HunyuanImage21"), "Flux"), "Anima": "CosmosPredict2"}


def direct_capture(model, conditioning, x: tuple[Tensor, Tensor, float], patch: int, block: str) -> Tensor:
    """[rows, h, w, C] of the block called e.g. "double 1", for x: latents [rows, c, h', w'], their noise, its level."""
    network, (kind, number) = model.model.diffusion_model, block.split()
    host_class = type(model.model).__name__
    form = SAME_FORM.get(host_class, host_class)
    path = PROJECTIONS[form, kind].format(number)
    gate = getattr(network.get_submodule(path.rpartition(".")[0]), "gate", None)  # Krea 2 weighs the output first
    with inputs_of(network.get_submodule(path)) as seen, outputs_of(gate) as weights:
        evaluate(model, conditioning, *x)
    height, width = (-(-side // patch) for side in x[0].shape[-2:])
    output = seen[0] / weights[0].sigmoid() if weights else seen[0]
    channels = network.hidden_size if form == "Flux" else output.shape[-1]  # beside them the perceptron's
    tokens = picture_tokens(network, output[..., :channels], height * width, first=form == "HiDream")
    return tokens.unflatten(1, (height, width))


def picture_tokens(network: nn.Module, tokens: Tensor, count: int, first: bool) -> Tensor:
    """The picture's among [rows, tokens, C]: the last ones, but for what Z-Image fills them up with, or the first."""
    multiple = getattr(network, "pad_tokens_multiple", None) or 1
    begin = 0 if first else tokens.shape[1] - -(-count // multiple) * multiple
    return tokens[:, begin : begin + count]


def evaluate(model, conditioning, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """One step of the host's own sampler, all the way down from the noise level sigma."""
    latents, noise = (comfy.sample.fix_empty_latent_channels(model, each) for each in (latents, noise))
    euler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([sigma, 0.0])
    conds = conditioning, conditioning
    return comfy.sample.sample_custom(model, noise, 1.0, euler, sigmas, *conds, latents, disable_pbar=True, seed=1)


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def outputs_of(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """Nothing where there is no such module."""
    seen: list[Tensor] = []
    if module is None:
        yield seen
        return
    handle = module.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    try:
        yield seen
    finally:
        handle.remove()
