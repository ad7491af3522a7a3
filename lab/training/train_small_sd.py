"""Train the small Stable Diffusion's UNet to predict the noise, on photographs and scenes as its autoencoder sees them.

Beside the noise, the queries that features are read from are held to what their cell shows (heads.py). Checkpoints
every two minutes and resumes from them, or from the shipped weights where there is no checkpoint; the rate follows a
cosine over the minutes given. Ends with the error at several noise levels on photographs of the other half.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from small_model import scenes
from small_model.autoencoder import CHANNELS, make_autoencoder
from small_model.autoencoder import WEIGHTS as AUTOENCODER
from small_model.photographs import photographs
from small_model.small_sd import CONTEXT_WIDTH, SCALE_FACTOR, TOKENS, WEIGHTS, make_unet
from small_model.words import SMALL_SD
from training import latents
from training.heads import Heads
from training.loop import KEPT, Training, arguments_of_photographs, continued
from training.network import SIGMAS, PromptedUNet, inside_the_unet

DROP_PROMPT = 0.2
TELLING = 0.3  # weight of what the queries tell (heads.py)
BINS = 20  # of the noise levels, each with a loss of its own
TESTED = 64
TOLD = (1, 101, 281, 481, 681, 881)  # timesteps at which the error is told


def main() -> None:
    train(arguments_of_latents(__doc__).parse_args())


def arguments_of_latents(description: str | None) -> argparse.ArgumentParser:
    """What a training on latents asks for beside."""
    parser = arguments_of_photographs(description, batch=16)
    parser.add_argument(
        "--cells", type=int, nargs="+", default=[24, 32, 40], help="of a latent's side, in turn by chance"
    )
    parser.add_argument("--pool", type=int, default=3000, help="pictures that are encoded")
    return parser


class NoisePredictor(PromptedUNet):
    """The UNet, the logarithm of the loss to expect at every noise level (Karras 2024, EDM2, sec. 2.2), the heads."""

    def __init__(self):
        super().__init__(make_unet(), len(SMALL_SD), CONTEXT_WIDTH)
        self.expected = torch.nn.Parameter(torch.zeros(BINS))
        self.heads = Heads(self.unet, CHANNELS, len(SMALL_SD))


def train(options: argparse.Namespace) -> None:
    training = Training(fresh, options, inside_the_unet, WEIGHTS)
    net, average = training.net, training.average
    pooled = latents.pool(
        list(photographs("tuning", options.root)), encoder(options), options.pool, KEPT / "latents.pt"
    )
    print(f"the latents' standard deviation is {pooled[0].float().std():.4f}, scaled by {SCALE_FACTOR}")

    def loss_of(generator):
        rng = np.random.default_rng(generator.initial_seed())
        x0, tokens, seen = (each.to(options.device) for each in sample_batch(pooled, options, rng))
        timestep = torch.randint(len(SIGMAS), (len(x0),), generator=generator)
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        expected = net.expected[(timestep * BINS // len(SIGMAS)).to(x0.device)]
        denoising = squared_error(net, x0, tokens, timestep, noise) / expected.exp() + expected
        visible = 1 / (1 + SIGMAS[timestep].to(x0.device) ** 2)  # the picture's share of what the UNet sees
        return (denoising + TELLING * visible * net.heads.loss(x0, seen)).mean()

    training.run(options.cycles, loss_of)
    report(average, encoder(options), options)


def fresh() -> torch.nn.Module:
    return continued(NoisePredictor(), WEIGHTS, strict=False)


def encoder(options: argparse.Namespace) -> torch.nn.Module:
    return continued(make_autoencoder().eval(), AUTOENCODER).to(options.device)


def sample_batch(pooled, options: argparse.Namespace, rng) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scaled latents [N, c, cells, cells], prompt tokens [N, TOKENS], and the tokens of what each cell shows."""
    windows, prompts, seen, cells = [], [], [], int(rng.choice(options.cells))
    for number in rng.integers(len(pooled[0]), size=options.batch):
        part, tokens = latents.window(pooled[0][number], pooled[1][number], cells, rng)
        windows.append(part)
        seen.append(tokens)
        prompts.append(latents.prompt(tokens, TOKENS) * (rng.random() >= DROP_PROMPT))
    return torch.stack(windows) * SCALE_FACTOR, torch.stack(prompts), torch.stack(seen)


def squared_error(net, x0, tokens, timestep, noise) -> torch.Tensor:
    """Mean squared error of the predicted noise, [N]."""
    sigma = SIGMAS[timestep].to(x0.device)[:, None, None, None]
    x = (x0 + sigma * noise) / (sigma**2 + 1).sqrt()
    return (net(x, timestep.to(x0.device), tokens) - noise).square().mean((1, 2, 3))


def held_out(autoencoder, options: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, prompts and noise of photographs, textured and plain scenes of seeds that training never used."""
    pictures = list(photographs("reporting", options.root))
    made = list(latents.encoded(pictures, autoencoder, range(scenes.HELD_OUT, scenes.HELD_OUT + TESTED)))
    pooled = tuple(torch.cat(each) for each in zip(*made, strict=True))
    options.batch = TESTED
    x0, tokens, _ = (each.to(options.device) for each in sample_batch(pooled, options, np.random.default_rng(0)))
    return x0, tokens, torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(x0.device)


@torch.no_grad()
def report(average, autoencoder, options: argparse.Namespace) -> None:
    """The error at some noise levels, on what training never used."""
    x0, tokens, noise = held_out(autoencoder, options)
    for timestep in TOLD:
        errors = squared_error(average, x0, tokens, torch.full((TESTED,), timestep), noise)
        print(f"timestep {timestep}: error {errors.mean():.4f} +- {errors.std() / TESTED**0.5:.4f}")
