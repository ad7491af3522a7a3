"""Train the small model on the procedural scenes: SD's noise schedule, nothing but denoising.

Checkpoints every two minutes and resumes from them; the learning rate follows a cosine over the time given,
so a slower machine trains fewer steps but still ends well annealed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os

import numpy as np
import torch

from small_model.model import CONTEXT_WIDTH, PATCH, SCALE_FACTOR, TOKENS, WEIGHTS, make_unet
from small_model.scenes import scene
from small_model.words import SMALL_MODEL
from training.loop import Training, arguments
from training.network import SIGMAS, PromptedUNet, inside_the_unet

DROP_PROMPT = 0.2
DEVIATION = 0.25  # of the scaled latents, roughly


def main() -> None:
    parser = arguments(__doc__, batch=24, cycles=(9, 30))
    parser.add_argument("--lean", type=float, default=1.0, help="above 1: more of the low timesteps are trained")
    parser.add_argument("--scenes", type=int, default=8192, help="size of the pool, multiplied by 12 augmentations")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    training = Training(
        lambda: PromptedUNet(make_unet(), len(SMALL_MODEL), CONTEXT_WIDTH), options, inside_the_unet, WEIGHTS
    )
    images, prompts = scene_pool(options.scenes)

    def loss_of(generator):
        batch = sample_batch(images, prompts, options.batch, generator)
        x0, tokens = (tensor.to(options.device) for tensor in batch)
        return denoising_loss(training.net, x0, tokens, options.lean, generator)

    training.run(options.cycles, loss_of)


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
    tokens = [SMALL_MODEL.index(word) for word in words]
    return (image * 255).round().astype(np.uint8).transpose(2, 0, 1), tokens + [0] * (TOKENS - len(tokens))
