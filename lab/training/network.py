"""What both UNets are trained with: words, initial weights, SD's noise levels."""

from __future__ import annotations

import torch


class PromptedUNet(torch.nn.Module):
    """A UNet of the host's and the table of words that makes its prompts."""

    def __init__(self, unet: torch.nn.Module, words: int, width: int):
        super().__init__()
        self.words = torch.nn.Parameter(torch.randn(words, width))
        self.unet = unet
        initialise(self.unet)

    def forward(self, x, timestep, tokens):
        """The UNet's prediction for x [N, c, h, w] at timesteps [N], told the words of tokens [N, length]."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
            return self.unet(x, timestep, self.words[tokens], transformer_options={}).float()


def reset(network: torch.nn.Module) -> None:
    """PyTorch's own initialisation, which the host's layers skip."""
    for module in network.modules():
        for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm):
            if isinstance(module, kind):
                kind.reset_parameters(module)  # type: ignore[arg-type]  # which of the kinds, mypy has lost


def initialise(unet: torch.nn.Module) -> None:
    """PyTorch's own initialisation, zero where a residual branch ends."""
    reset(unet)
    for name, parameter in unet.named_parameters():
        if name.startswith("out.2.") or ".out_layers.3." in name or ".proj_out." in name:
            torch.nn.init.zeros_(parameter)


def inside_the_unet(name: str) -> bool:
    """Whether a weight is a convolution or feed-forward inside the UNet, which Muon is for.

    Not the attention: Muon gives every direction of a projection equal weight, which spoils the queries for k-means.
    """
    inner = ("unet.input_blocks.", "unet.middle_block.", "unet.output_blocks.")
    return name.startswith(inner) and "input_blocks.0." not in name and ".attn" not in name


def sigmas() -> torch.Tensor:
    """SD's scaled-linear schedule, sigma of each of the 1000 timesteps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    return ((1 - alphas) / alphas).sqrt().float()


SIGMAS = sigmas()
