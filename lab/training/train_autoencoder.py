"""Train the small Stable Diffusion's autoencoder on photographs and on scenes cut out of them.

Checkpoints every two minutes and resumes from them, or from the shipped weights where there is no checkpoint; the rate
follows a cosine over the minutes given. Ends with the error of the reconstruction on pictures of the other half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from comfyui.in_process import start_host
from small_model.photographs import FOLDER, photographs
from small_model.textures import random_crop, textured_scene
from training.loop import Training

start_host()

from small_model.autoencoder import WEIGHTS, make_autoencoder

CHECKPOINT = Path(__file__).resolve().parents[2] / ".training" / "small_sd_autoencoder.pt"
SIZE = 96  # pixels of a crop
SHARE_OF_SCENES = 0.3
FINEST = 3  # scales at which edges are compared
KL = 1e-6  # weight of the latents' distance from a normal distribution, as in SD
HELD_OUT_CROPS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=float, nargs="+", default=[60], help="minutes of each cosine cycle")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    net, average = (fresh().to(options.device) for _ in range(2))
    groups = [{"params": list(net.parameters()), "peak": options.learning_rate}]
    optimizer = torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.99), weight_decay=0.01)
    training = Training(net, average, [optimizer], CHECKPOINT, WEIGHTS)
    pictures = [each.image for each in photographs("tuning", options.root)]

    def loss_of(generator):
        rng = np.random.default_rng(generator.initial_seed())
        return reconstruction_loss(net, sample_batch(pictures, options.batch, rng).to(options.device))

    training.run(options.cycles, loss_of)
    report(average, options)


def fresh() -> torch.nn.Module:
    """The autoencoder with the shipped weights, or with PyTorch's own initialisation, which the host's layers skip."""
    net = make_autoencoder()
    if WEIGHTS.exists():
        net.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
        return net
    for module in net.modules():
        for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm):
            if isinstance(module, kind):
                kind.reset_parameters(module)  # type: ignore[arg-type]  # which of the kinds, mypy has lost
    return net


def sample_batch(pictures: list[np.ndarray], count: int, rng: np.random.Generator) -> torch.Tensor:
    """Crops [N, 3, SIZE, SIZE] in -1..1, their colour channels permuted at random."""
    crops = []
    for _ in range(count):
        if rng.random() < SHARE_OF_SCENES:
            crop = textured_scene(int(rng.integers(8192)), pictures, SIZE).image
        else:
            crop = random_crop(pictures[rng.integers(len(pictures))], SIZE, rng)
        crops.append(crop[..., rng.permutation(3)])
    return torch.from_numpy(np.stack(crops)).movedim(-1, 1) * 2 - 1


def reconstruction_loss(net, pixels: torch.Tensor) -> torch.Tensor:
    """Absolute error of the pixels and, at several scales, of their edges; and the latents' KL divergence."""
    mean, logvar = net.quant_conv(net.encoder(pixels)).chunk(2, 1)
    logvar = logvar.clamp(-30, 20)
    latent = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    painted = net.decoder(net.post_quant_conv(latent))
    loss = (painted - pixels).abs().mean()
    ours, true = painted, pixels
    for _ in range(FINEST):
        loss = loss + sum((ours.diff(dim=axis) - true.diff(dim=axis)).abs().mean() for axis in (-1, -2))
        ours, true = (torch.nn.functional.avg_pool2d(each, 2) for each in (ours, true))
    divergence = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
    return loss + KL * divergence


@torch.no_grad()
def report(average, options: argparse.Namespace) -> None:
    """How well crops of the reporting half come back, and how large their latents are."""
    pictures, rng = [each.image for each in photographs("reporting", options.root)], np.random.default_rng(0)
    crops = np.stack([random_crop(pictures[rng.integers(len(pictures))], 128, rng) for _ in range(HELD_OUT_CROPS)])
    pixels = torch.from_numpy(crops).movedim(-1, 1).to(options.device) * 2 - 1
    latents = average.encode(pixels)
    error = (average.decode(latents).clamp(-1, 1) - pixels).square().mean((1, 2, 3)) / 4  # of pixels in 0..1
    decibels = -10 * error.log10()
    print(f"PSNR {decibels.mean():.2f} +- {decibels.std() / HELD_OUT_CROPS**0.5:.2f} dB; latents {latents.std():.3f}")


if __name__ == "__main__":
    main()
