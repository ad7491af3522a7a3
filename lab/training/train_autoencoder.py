"""Train the small Stable Diffusion's autoencoder on photographs and on scenes cut out of them.

Checkpoints every two minutes and resumes from them, or from the shipped weights where there is no checkpoint; the rate
follows a cosine over the minutes given. Ends with the error of the reconstruction on pictures of the other half.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from small_model.autoencoder import CELL, WEIGHTS, make_autoencoder
from small_model.photographs import photographs
from small_model.textures import random_crop, textured_scene
from training.loop import Training, arguments_of_photographs, continued
from training.network import reset

SHARE_OF_SCENES = 0.3
SCALES, FINEST = 5, 3  # at which colours are compared, and of them those at which edges are
# Three channels are drawn to the colours of their cell, as SD's come to be nearly: without that they all became
# brightness, and every picture grey.
SHOWN = 0.5
KL = 1e-6  # weight of the latents' distance from a normal distribution, as in SD
HELD_OUT_CROPS = 64


def main() -> None:
    parser = arguments_of_photographs(__doc__, batch=12)
    parser.add_argument("--size", type=int, default=64, help="pixels of a crop")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    training = Training(fresh, options, between_pictures_and_latents, WEIGHTS)
    net, average = training.net, training.average
    pictures = [each.image for each in photographs("tuning", options.root)]

    def loss_of(generator):
        rng = np.random.default_rng(generator.initial_seed())
        return reconstruction_loss(net, sample_batch(pictures, options, rng).to(options.device))

    training.run(options.cycles, loss_of)
    standardise(average, sample_batch(pictures, options, np.random.default_rng(0)).to(options.device))
    training.ship()
    report(average, options)


def fresh() -> torch.nn.Module:
    """The autoencoder with the shipped weights, or with PyTorch's own initialisation, which the host's layers skip."""
    net = make_autoencoder()
    reset(net)
    return continued(net, WEIGHTS)


def between_pictures_and_latents(name: str) -> bool:
    """Whether a weight is inside the encoder or the decoder, and not the first or the last of them."""
    return ("encoder." in name or "decoder." in name) and "conv_in" not in name and "conv_out" not in name


def sample_batch(pictures: list[np.ndarray], options: argparse.Namespace, rng: np.random.Generator) -> torch.Tensor:
    """Crops [N, 3, size, size] in -1..1, their colour channels permuted at random."""
    crops = []
    for _ in range(options.batch):
        if rng.random() < SHARE_OF_SCENES:
            crop = textured_scene(int(rng.integers(8192)), pictures, options.size).image
        else:
            crop = random_crop(pictures[rng.integers(len(pictures))], options.size, rng)
        crops.append(crop[..., rng.permutation(3)])
    return torch.from_numpy(np.stack(crops)).movedim(-1, 1) * 2 - 1


def reconstruction_loss(net, pixels: torch.Tensor) -> torch.Tensor:
    """Absolute error of the colours and edges at several scales, and the latents' KL divergence."""
    mean, logvar = net.quant_conv(net.encoder(pixels)).chunk(2, 1)
    logvar = logvar.clamp(-30, 20)
    latent = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    painted = net.decoder(net.post_quant_conv(latent))
    shown = (mean[:, :3] - torch.nn.functional.avg_pool2d(pixels, CELL)).square().mean()
    loss, ours, true = KL * divergence_of(mean, logvar) + SHOWN * shown, painted, pixels
    for scale in range(SCALES):
        loss = loss + (ours - true).abs().mean() + 2 * (ours - true).square().mean()
        if scale < FINEST:
            loss = loss + sum((ours.diff(dim=axis) - true.diff(dim=axis)).abs().mean() for axis in (-1, -2))
        ours, true = (torch.nn.functional.avg_pool2d(each, 2) for each in (ours, true))
    return loss


def divergence_of(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL divergence of the latents from a normal distribution, summed over each latent."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()


@torch.no_grad()
def standardise(autoencoder, pixels: torch.Tensor) -> None:
    """Latents of mean 0 and standard deviation 1 in every channel, and a decoder that takes them, else the same."""
    latents = autoencoder.encode(pixels).transpose(0, 1).flatten(1)  # [c, all cells]
    centre, spread = latents.mean(1), latents.std(1)
    to_latents, from_latents = autoencoder.quant_conv, autoencoder.post_quant_conv
    from_latents.bias += from_latents.weight[..., 0, 0] @ centre
    from_latents.weight *= spread[:, None, None]
    to_latents.weight[: len(centre)] /= spread[:, None, None, None]  # the other half gives the variance's logarithm
    to_latents.bias[: len(centre)] = (to_latents.bias[: len(centre)] - centre) / spread
    to_latents.bias[len(centre) :] -= 2 * spread.log()


@torch.no_grad()
def report(average, options: argparse.Namespace) -> None:
    """How well crops of the reporting half come back, and how large their latents are."""
    pictures, rng = [each.image for each in photographs("reporting", options.root)], np.random.default_rng(0)
    crops = np.stack([random_crop(pictures[rng.integers(len(pictures))], 128, rng) for _ in range(HELD_OUT_CROPS)])
    pixels = torch.from_numpy(crops).movedim(-1, 1).to(options.device) * 2 - 1
    latents = average.encode(pixels)
    error = (average.decode(latents).clamp(-1, 1) - pixels).square().mean((1, 2, 3)) / 4  # of pixels in 0..1
    decibels = -10 * error.log10()
    error_of_mean = decibels.std() / HELD_OUT_CROPS**0.5
    print(f"PSNR {decibels.mean():.2f} +- {error_of_mean:.2f} dB; latents {latents.mean():+.3f} +- {latents.std():.3f}")
