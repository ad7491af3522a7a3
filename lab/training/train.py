"""Train the small model on the procedural scenes: SD's noise schedule, nothing but denoising.

Checkpoints every two minutes and resumes from them; the learning rate follows a cosine over the time given,
so a slower machine trains fewer steps but still ends well annealed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from pathlib import Path

import numpy as np
import torch

from comfyui.in_process import start_host
from small_model.scenes import scene
from training.loop import Training
from training.optimizer import Muon

start_host()

from small_model.model import CONTEXT_WIDTH, PATCH, SCALE_FACTOR, TOKENS, VOCABULARY, WEIGHTS, make_unet

CHECKPOINT = Path(__file__).resolve().parents[2] / ".training" / "small_model.pt"
DROP_PROMPT = 0.2
DEVIATION = 0.25  # of the scaled latents, roughly


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cycles", type=float, nargs="+", default=[9, 30], help="minutes of each cosine cycle, resumed parts included"
    )
    parser.add_argument("--lean", type=float, default=1.0, help="above 1: more of the low timesteps are trained")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--scenes", type=int, default=8192, help="size of the pool, multiplied by 12 augmentations")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    net, average = Net().to(options.device), Net().to(options.device).requires_grad_(False)
    training = Training(net, average, make_optimizers(net, options), CHECKPOINT, WEIGHTS)
    images, prompts = scene_pool(options.scenes)

    def loss_of(generator):
        batch = sample_batch(images, prompts, options.batch, generator)
        x0, tokens = (tensor.to(options.device) for tensor in batch)
        return denoising_loss(net, x0, tokens, options.lean, generator)

    training.run(options.cycles, loss_of)


def make_optimizers(net, options) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions and feed-forwards inside the UNet, AdamW for the rest.

    Not for the attention: Muon gives every direction of a projection equal weight, which spoils the queries for
    k-means.
    """
    inner = ("input_blocks.", "middle_block.", "output_blocks.")
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in net.named_parameters():
        is_inner = name.startswith(tuple("unet." + part for part in inner)) and "input_blocks.0." not in name
        is_inner = is_inner and ".attn" not in name
        (matrices if parameter.ndim >= 2 and is_inner else others).append(parameter)
    muon = Muon([{"params": matrices, "peak": options.muon_rate}], lr=0, weight_decay=0.01)
    adamw = torch.optim.AdamW(
        [{"params": others, "peak": options.learning_rate}], lr=0, betas=(0.9, 0.99), weight_decay=0.01
    )
    return [muon, adamw]


class Net(torch.nn.Module):
    """The UNet and the word table that makes its prompts."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Parameter(torch.randn(len(VOCABULARY), CONTEXT_WIDTH))
        self.unet = make_unet()
        initialise(self.unet)

    def forward(self, x, timestep, tokens):
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.unet(x, timestep, self.words[tokens], transformer_options={}).float()


def initialise(unet) -> None:
    """PyTorch's own initialisation (the host's layers skip it), zero where a residual branch ends."""
    for module in unet.modules():
        for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm):
            if isinstance(module, kind):
                kind.reset_parameters(module)  # type: ignore[arg-type]  # which of the kinds, mypy has lost
    for name, parameter in unet.named_parameters():
        if name.startswith("out.2.") or ".out_layers.3." in name or ".proj_out." in name:
            torch.nn.init.zeros_(parameter)


def sigmas() -> torch.Tensor:
    """SD's scaled-linear schedule, sigma of each of the 1000 timesteps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    return ((1 - alphas) / alphas).sqrt().float()


SIGMAS = sigmas()


def denoising_loss(net, x0, tokens, lean, generator) -> torch.Tensor:
    """Mean squared error of the predicted picture; timesteps uniform, or leaning towards the low ones.

    Each noise level is weighted so that all matter about equally: the error left at the end of the training grows
    with sigma as sigma / (sigma + 0.35) does.
    """
    timestep = (1000 * torch.rand(len(x0), generator=generator) ** lean).long()
    noise = torch.randn(x0.shape, generator=generator).to(x0.device)
    sigma = SIGMAS[timestep].to(x0.device)[:, None, None, None]
    x = (x0 + sigma * noise) / (sigma**2 + 1).sqrt()
    weight = ((sigma + 0.35) / sigma) ** 2
    return (weight * (net(x, timestep.to(x0.device), tokens) - x0).square()).mean() / DEVIATION**2


def sample_batch(images, prompts, count, generator):
    """Latents [N, 48, 32, 32] and prompt tokens [N, tokens]; mirrored and colour channels permuted at random."""
    chosen = torch.randint(len(images), (count,), generator=generator)
    pixels = images[chosen].float() / 127.5 - 1  # [N, 3, 128, 128]
    pixels = torch.stack([_augment(image, generator) for image in pixels])
    tokens = prompts[chosen]
    kept = torch.rand(count, 1, generator=generator) >= DROP_PROMPT
    return torch.nn.functional.pixel_unshuffle(pixels, PATCH) * SCALE_FACTOR, tokens * kept


def _augment(image, generator):
    image = image[torch.randperm(3, generator=generator)]
    return image.flip(-1) if torch.rand((), generator=generator) < 0.5 else image


def scene_pool(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes of seeds 0..count-1: uint8 [N, 3, 128, 128] and their words as tokens [N, tokens]."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        pairs = pool.map(_pool_item, range(count), chunksize=64)
    return torch.from_numpy(np.stack([image for image, _ in pairs])), torch.tensor([tokens for _, tokens in pairs])


def _pool_item(seed: int):
    image, _, words = scene(seed)
    tokens = [VOCABULARY.index(word) for word in words]
    return (image * 255).round().astype(np.uint8).transpose(2, 0, 1), tokens + [0] * (TOKENS - len(tokens))


if __name__ == "__main__":
    main()
