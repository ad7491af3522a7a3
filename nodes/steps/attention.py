"""latents -> the picture's self-attention, as Markov chains for EmerDiff Pick by Points (M2N2, CVPR 2025)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...emerdiff_ops.markov import HELD, markov_chain
from ..host import network
from ..host.memory import Workplace, tokens_that_fit
from ..host.places import Block, Layer
from ..host.progress import Progress, show_notes
from ..host.session import attend, capture_once
from .checks import check_grid, check_predicted
from .levels import clusters_of
from .values import Features, Size, Source, Trajectory

TIMESTEP = 100  # told to the network with the noiseless latent, as published
MOST_TOKENS = 112 * 112  # the published figures are for so many
BYTES = 12  # for each pair of tokens, while a chain is fitted
COARSER = (
    "there is no room for the attention of {} x {} tokens: {} x {} of them are taken as one, and points find small "
    "things less well; lower resolution, or give fewer pictures at a time"
)
UNREACHED = "the attention of {} cannot be read: points pick by features alone, as with attention turned off"


def with_attention(features: Features, source: Source, trajectory: Trajectory, place: Layer | Block) -> Features:
    """The features of encoded pictures, with a chain [N, N] and the clusters added for each picture.

    A chain takes one evaluation of the latent without noise or surroundings. Where no hook of the host reaches the
    attention, a note says so and there are no chains.
    """
    own = network.of(source.model)
    grid = own.attention_grid(place, trajectory.latent_size)
    finer = taken_as_one(grid, tokens_that_fit(source.model, len(trajectory.latent), BYTES))
    sigma = network.sigma_of(source.model, TIMESTEP)
    progress, chains = Progress(), []
    progress.expect("attention", len(trajectory.latent), 1.0)
    for latent in trajectory.latent.split(1):
        capture = own.capture_attention(place, grid, finer, attend)
        if capture is None:
            show_notes([UNREACHED.format(own.name())])
            return features
        capture_once(source.model, source.conditioning, latent, sigma, capture)
        chains.append(chain_of(check_attention(capture, grid)))
        progress.step("attention")
    clusters = torch.stack([clusters_of(each) for each in features.features])
    return features._replace(chains=torch.stack(chains), chain_grid=coarser(grid, finer), clusters=clusters)


def taken_as_one(grid: Size, fit: int) -> int:
    """How many tokens a side to merge into one, so that the rest fit into memory. A note says so if it is several."""
    finer = 1
    while math.prod(coarser(grid, finer)) > min(fit, MOST_TOKENS):
        finer += 1
    if finer > 1:
        show_notes([COARSER.format(grid[1], grid[0], finer, finer)])
    return finer


def coarser(grid: Size, finer: int) -> Size:
    height, width = (-(-side // finer) for side in grid)
    return height, width


def check_attention(capture, grid: Size) -> Tensor:
    """Attention [N, N]; ValueError where another node prevents reading it."""
    if capture.features is None:
        raise ValueError(
            "another node replaces or skips blocks whose attention is read; connect the model from before it, or turn "
            "attention off in EmerDiff Extract Features"
        )
    check_grid(math.prod(capture.grid), grid, capture.grid)
    return check_predicted(capture.features)[0]


def chain_of(attention: Tensor) -> Tensor:
    """The chain [N, N] float16, on the attention's device; fitted on the processor where there is no room."""
    place = Workplace(attention.device, BYTES * attention.numel())
    return place.run(lambda device: markov_chain(attention.to(device)).to(HELD)).to(attention.device)
