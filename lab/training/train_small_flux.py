"""Train the small Flux to predict the flow, on photographs and scenes as the small SD's autoencoder sees them.

Beside the flow, what a block half way puts out is held to what its token shows, in place of years of training (as in
heads.py for the UNet). Checkpoints every two minutes and resumes from them, or from the shipped weights where there is
no checkpoint; the rate follows a cosine over the minutes given. Ends with the error at several noise levels on
photographs of the other half.
"""

from __future__ import annotations

import argparse

import comfy.model_management
import numpy as np
import torch
from torch.func import functionalize  # the host's blocks add in place, which gradients do not survive

from small_model.autoencoder import CHANNELS
from small_model.photographs import photographs
from small_model.small_flux import CONTEXT_WIDTH, PATCH, WEIGHTS, make_transformer, pooled
from small_model.words import SMALL_SD
from training import latents
from training.heads import missed
from training.loop import KEPT, Training, continued
from training.train_small_sd import TELLING, TESTED, arguments_of_latents, encoder, held_out, sample_batch

TOLD_BY = 2  # the block of one stream whose output tells what each token shows
LEVELS = (0.05, 0.2, 0.4, 0.6, 0.8)  # of noise, at which the error is told


def main() -> None:
    train(arguments_of_latents(__doc__).parse_args())


class FlowPredictor(torch.nn.Module):
    """The transformer, the table of words that makes its prompts, and the head that reads a block."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Parameter(torch.randn(len(SMALL_SD), CONTEXT_WIDTH))
        self.unet = make_transformer()  # the name under which model_patcher looks for weights
        initialise(self.unet)
        self.head = torch.nn.Linear(self.unet.hidden_size, CHANNELS * PATCH**2 + len(SMALL_SD))
        self.read = torch.empty(0)
        self.unet.single_blocks[TOLD_BY].register_forward_hook(self.keep)

    def keep(self, block, inputs, output) -> None:
        self.read = output.clone()  # the blocks behind it add to it in place

    def forward(self, x, level, tokens):
        """The flow for x [N, c, h, w] at noise levels [N], told the words of tokens [N, length]."""
        words = self.words[tokens]
        with torch.autocast(x.device.type, torch.bfloat16):
            flow, self.read = functionalize(self.both)(x, level, words)
            return flow.float()

    def both(self, x, level, words) -> tuple[torch.Tensor, torch.Tensor]:
        """The flow, and what the block that tells put out."""
        flow = self.unet(x, level, words, pooled(words), transformer_options={})
        return flow, self.read

    def telling(self, x0: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """[N]: how far what was read is from the latents [N, c, h, w] of each token and from its word's number."""
        shown = torch.nn.functional.pixel_unshuffle(x0, PATCH).flatten(2).movedim(1, 2)  # [N, tokens, c * PATCH**2]
        named = seen[:, PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].flatten(1).long()  # [N, tokens]
        return missed(self.head(self.read[:, -shown.shape[1] :].float()), shown, named)


def initialise(transformer: torch.nn.Module) -> None:
    """PyTorch's own initialisation (the host's layers skip it), zero where modulation begins and the network ends."""
    for module in transformer.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.Linear.reset_parameters(module)
    for name, parameter in transformer.named_parameters():
        if name.endswith("_norm.weight"):
            torch.nn.init.ones_(parameter)
        if "modulation" in name or "_mod." in name or name.startswith("final_layer"):
            torch.nn.init.zeros_(parameter)


def inside_the_blocks(name: str) -> bool:
    """Whether a weight is a matrix inside a block, which Muon is for: not those of modulation, queries and keys."""
    return "_blocks." in name and "mod" not in name and ".qkv." not in name


def train(options: argparse.Namespace) -> None:
    comfy.model_management.in_training = True  # the host's own kernels have no gradient
    training = Training(fresh, options, inside_the_blocks, WEIGHTS)
    net, average = training.net, training.average
    pictures = list(photographs("tuning", options.root))
    pool = latents.pool(pictures, encoder(options), options.pool, KEPT / "latents.pt")

    def loss_of(generator):
        rng = np.random.default_rng(generator.initial_seed())
        x0, tokens, seen = (each.to(options.device) for each in sample_batch(pool, options, rng))
        level = torch.randn(len(x0), generator=generator).sigmoid().to(x0.device)  # Esser 2024, logit-normal
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        flow = squared_error(net, x0, tokens, level, noise)
        return (flow + TELLING * (1 - level) * net.telling(x0, seen)).mean()

    training.run(options.cycles, loss_of)
    report(average, encoder(options), options)


def fresh() -> torch.nn.Module:
    return continued(FlowPredictor(), WEIGHTS)


def squared_error(net, x0, tokens, level, noise) -> torch.Tensor:
    """Mean squared error of the predicted flow, noise less picture, [N]."""
    share = level[:, None, None, None]
    return (net(torch.lerp(x0, noise, share), level, tokens) - (noise - x0)).square().mean((1, 2, 3))


@torch.no_grad()
def report(average, autoencoder, options: argparse.Namespace) -> None:
    """The error at some noise levels, on what training never used."""
    x0, tokens, noise = held_out(autoencoder, options)
    for level in LEVELS:
        errors = squared_error(average, x0, tokens, torch.full((TESTED,), level, device=x0.device), noise)
        print(f"noise level {level}: error {errors.mean():.4f} +- {errors.std() / TESTED**0.5:.4f}")
