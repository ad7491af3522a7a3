"""The interface to a MODEL: its network, its latents and its noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import comfy.model_sampling
import torch
from torch import Tensor

from .hooks import AttentionOutput, JointAttention, ProjectionInput, QueryCapture, SelfAttention
from .transformers import Transformer, family_of
from .unet import UNet

Place = TypeVar("Place")  # where features are read: a Layer of a UNet, a Block of a transformer


class Network(Protocol[Place]):
    """The interface to a MODEL's network; sizes are in cells of its latent."""

    lifts: bool  # whether masks can be lifted with it
    own_timestep: int  # the default t_f
    samplings: tuple[type, ...]  # the host's classes for how such models predict the picture from a noisy one

    def name(self) -> str:
        """The model's usual name, with what another pack put in its network's place; else the host's name."""

    def reads(self) -> bool:
        """Whether features can be read."""

    def find_place(self, name: str) -> Place:
        """The place of a name; "auto" is where features are read by default."""

    def evidence(self, place: Place) -> str:
        """The evidence for reading features there, as a text for the node; empty where the place is the paper's."""

    def grid_of(self, place: Place, latent_size: tuple[int, int]) -> tuple[int, int]:
        """The grid (h, w) that is read from a latent (h', w'); a remainder counts as a cell."""

    def cells_together(self, place: Place) -> int:
        """How many latent cells a side one cell of the grid that is read has."""

    def cells_in_token(self) -> int:
        """How many latent cells a side one token of the network has; pictures are padded to whole tokens."""

    def limits(self) -> tuple[int, int | None]:
        """Least mean of the sides that the host can run, and the longest side where positions are numbered."""

    def own_pixels(self, pixels_per_cell: int) -> int:
        """The shorter side, in pixels, of the pictures that the network was made for."""

    def capture(self, place: Place, grid: tuple[int, int]) -> QueryCapture | AttentionOutput | ProjectionInput:
        """The hook that reads one evaluation at the place, and ends it there."""

    def attention_grid(self, place: Place, latent_size: tuple[int, int]) -> tuple[int, int]:
        """The grid (h, w) of the finest self-attention for a latent (h', w'), or of a transformer's at the place."""

    def capture_attention(
        self, place: Place, grid: tuple[int, int], finer: int, attend: Callable
    ) -> SelfAttention | JointAttention | None:
        """The hook that reads that attention once, `finer` tokens a side merged into one; None where none reaches it.

        attend(query, key, value, options) is the host's attention.
        """

    def layers_to_pass(self) -> int | None:
        """How many layers report each whole evaluation; None where none does."""

    def context_width(self) -> int:
        """The width of a text token in the network's input: 768 (SD1.x), 2048 (SDXL), 4096 (SD3, Flux)."""

    def needs_beside_text(self) -> dict[str, str]:
        """What the conditioning must carry beside the text: the host's names, and words for them."""

    def other_pictures(self) -> dict[str, str]:
        """Other pictures that a conditioning must not carry: the host's names, and the nodes that put them there."""

    def read_with(self, conditioning: list) -> list:
        """The CONDITIONING to read pictures with."""


def of(model) -> Network[Any]:
    """The network of a MODEL: a transformer of a known family, or else a UNet."""
    family = family_of(model)
    return Transformer(model, family) if family else UNet(model)


def transformer_of(model) -> Transformer:
    """The network of a MODEL that is known to be a transformer."""
    family = family_of(model)
    assert family
    return Transformer(model, family)


# --- the latent ---


def latent_format_name(model) -> str:
    return type(model.get_model_object("latent_format")).__name__


def latent_channels(model) -> int:
    return model.get_model_object("latent_format").latent_channels


def latent_ratio(model) -> int:
    """How many pixels a side one cell of the model's latent stands for."""
    return model.get_model_object("latent_format").spacial_downscale_ratio


def latent_axes(model) -> int:
    """2, or 3 where the latent has an axis for time, which is 1 for a picture."""
    return model.get_model_object("latent_format").latent_dimensions


# --- the noise ---


def removes_noise(model) -> bool:
    """Whether the model predicts the picture, the noise, v or the flow from a noisy picture."""
    sampling = model.get_model_object("model_sampling")
    others = comfy.model_sampling.IMG_TO_IMG, comfy.model_sampling.IMG_TO_IMG_FLOW
    return isinstance(sampling, of(model).samplings) and not isinstance(sampling, others)


def ways_of_sampling(model) -> str:
    """The host's names for how the model samples."""
    kinds = type(model.get_model_object("model_sampling")).__mro__[1:-1]
    return ", ".join(each.__name__ for each in kinds if each is not torch.nn.Module)


def sigma_of(model, timestep: int) -> float:
    """The noise level of one of SD's 1000 training steps, in the model's own schedule.

    A model trained on continuous noise levels (CosXL, Playground 2.5, Cosmos) gets SD's at the same signal-to-noise
    ratio. One that predicts the flow gets the share of noise at that ratio: sigma / (1 + sigma).
    """
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.ModelSamplingDiscrete):
        return float(sampling.sigma(torch.tensor([timestep])))
    usual = comfy.model_sampling.ModelSamplingDiscrete().sigma(torch.tensor([timestep]))
    if isinstance(sampling, comfy.model_sampling.CONST):
        return float(usual / (1 + usual))
    return float((sampling.sigma_data * usual).clamp(sampling.sigma_min.cpu(), sampling.sigma_max.cpu()))


def with_noise(model, x0: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """A latent at noise level sigma: x0 + sigma * noise; for a flow model, (1 - sigma) * x0 + sigma * noise."""
    sampling = model.get_model_object("model_sampling")
    return sampling.noise_scaling(torch.tensor(sigma, device=x0.device), noise, x0)


def timestep_of(model, sigma: float) -> Tensor:
    """The timestep [1] that the network is told at noise level sigma."""
    return model.get_model_object("model_sampling").timestep(torch.tensor([sigma])).float()
