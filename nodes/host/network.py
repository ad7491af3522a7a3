"""What a MODEL is whose features are read, UNet or transformer: its layers and their grid, its latents, its noise.

A place is a layer or block that features are read from: a `Layer` of a UNet, a `Block` of a transformer.
"""

from __future__ import annotations

import comfy.model_sampling
import torch
from torch import Tensor

from . import transformers, unet
from .hooks import AttentionOutput, ProjectionInput, QueryCapture
from .transformers import Block, family_of
from .unet import Layer, network_of

Place = Layer | Block
Capture = QueryCapture | AttentionOutput | ProjectionInput

UNET_TIMESTEP = 1  # t_f of the paper
TRANSFORMER_TIMESTEP = 281  # a share of .44 of noise; published work reads between .1 and .5


# --- what is read, and where ---


def reads(model) -> bool:
    """Whether features can be read: a UNet that attends to a text, or a transformer whose form is known."""
    family = family_of(model)
    return transformers.is_own_network(model, family) if family else unet.reads_text(model)


def lifts(model) -> bool:
    """Whether masks can be lifted with it: UNets alone."""
    return family_of(model) is None


def transformer_names() -> list[str]:
    """The families of transformers, as people call them."""
    return [family.name for family in transformers.FAMILIES.values()]


def name_of(model) -> str:
    """What people call the model, and what another pack put in its network's place; the host's name where unknown."""
    family = family_of(model)
    if family is None:
        return type(model.model).__name__
    replaced = not transformers.is_own_network(model, family)
    return f"{family.name} inside {type(network_of(model)).__name__} of another pack" if replaced else family.name


def find_place(model, name: str) -> Place:
    """The layer or block of a name; "auto" is where features are read unasked."""
    family = family_of(model)
    return transformers.find_block(model, family, name) if family else unet.find_layer(model, name, last=False)


def cells_together(model, place: Place) -> int:
    """Cells of the latent on a side of one cell of the grid that is read."""
    return unet.cells_together(model, place) if isinstance(place, Layer) else cells_in_token(model)


def grid_of(model, place: Place, latent_size: tuple[int, int]) -> tuple[int, int]:
    """The grid (h, w) that is read of a latent (h', w'); what is left over counts as a cell."""
    if isinstance(place, Layer):
        return unet.grid_of(model, place, latent_size)
    height, width = (-(-side // cells_in_token(model)) for side in latent_size)
    return height, width


def cells_in_token(model) -> int:
    """Cells of the latent on a side of what the network takes as one: pictures are filled up to whole ones."""
    family = family_of(model)
    return transformers.cells_in_token(model, family) if family else 1


def most_pixels(model) -> int | None:
    """On a side of a picture, where the network knows no more places."""
    tokens = transformers.most_tokens(model) if family_of(model) else None
    return tokens and tokens * cells_in_token(model) * latent_ratio(model)


def least_pixels(model) -> int:
    """Mean of both sides of a picture below which the host cannot run the network."""
    family = family_of(model)
    return family.least * latent_ratio(model) if family else 0


def capture_of(model, place: Place, grid: tuple[int, int]) -> Capture:
    """The hook that reads one evaluation at the place, as far as it goes."""
    if isinstance(place, Layer):
        return QueryCapture(place)
    family = transformers.known_family(model)
    if family.projection:
        return ProjectionInput(family.projection(transformers.blocks_of(model, family)[place]), grid)
    before = transformers.attentions_before(model, family, place)
    filled = None if family.picture_first else transformers.tokens_together(model)
    return AttentionOutput(place, transformers.replaced_as(family, place), before, grid, filled)


def own_timestep(model) -> int:
    """t_f where none is asked for."""
    return TRANSFORMER_TIMESTEP if family_of(model) else UNET_TIMESTEP


def own_pixels(model, pixels_per_cell: int) -> int:
    """The shorter side, in pixels, that the model was made for: 512 (SD1.x), 768 (SD2.1-v), 1024 (SDXL and later)."""
    said = getattr(type(model.get_model_object("model_config")), "own_pixels", None)
    family = family_of(model)
    return said or (family.pixels if family else unet.own_cells(model) * pixels_per_cell)


# --- the text ---


def context_width(model) -> int:
    """How many numbers the network takes for every token of the text: 768 (SD1.x), 2048 (SDXL), 4096 (SD3, Flux)."""
    family = family_of(model)
    return family.text_width(network_of(model)) if family else unet.context_width(model)


def needs_beside_text(model) -> tuple[str, ...]:
    """What the conditioning has to carry beside the text, under the host's names."""
    family = family_of(model)
    if family:
        return family.needs
    return (transformers.POOLED,) if unet.takes_pooled_text(model) else ()


# --- the latent ---


def latent_format_name(model) -> str:
    return type(model.get_model_object("latent_format")).__name__


def latent_channels(model) -> int:
    return model.get_model_object("latent_format").latent_channels


def latent_ratio(model) -> int:
    """Pixels on a side of the picture that one cell of the model's latent stands for."""
    return model.get_model_object("latent_format").spacial_downscale_ratio


def latent_axes(model) -> int:
    """2, or 3 where the latent has an axis for time, which is 1 for a picture."""
    return model.get_model_object("latent_format").latent_dimensions


# --- the noise ---


def removes_noise(model) -> bool:
    """Whether it predicts the picture, the noise, v or the flow, from a picture with noise added."""
    sampling = model.get_model_object("model_sampling")
    kinds = [comfy.model_sampling.EPS]
    if family_of(model):
        kinds += [comfy.model_sampling.CONST, comfy.model_sampling.COSMOS_RFLOW]
    others = comfy.model_sampling.IMG_TO_IMG, comfy.model_sampling.IMG_TO_IMG_FLOW
    return isinstance(sampling, tuple(kinds)) and not isinstance(sampling, others)


def ways_of_sampling(model) -> str:
    """The host's names for how the model samples."""
    kinds = type(model.get_model_object("model_sampling")).__mro__[1:-1]
    return ", ".join(each.__name__ for each in kinds if each is not torch.nn.Module)


def sigma_of(model, timestep: int) -> float:
    """The noise level of one of SD's 1000 training steps, in the model's own schedule.

    A model trained on continuous noise levels (CosXL, Playground 2.5, Cosmos) gets SD's at the same signal-to-noise
    ratio, one that predicts the flow the share of noise at it: sigma / (1 + sigma).
    """
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.ModelSamplingDiscrete):
        return float(sampling.sigma(torch.tensor([timestep])))
    usual = comfy.model_sampling.ModelSamplingDiscrete().sigma(torch.tensor([timestep]))
    if isinstance(sampling, comfy.model_sampling.CONST):
        return float(usual / (1 + usual))
    return float((sampling.sigma_data * usual).clamp(sampling.sigma_min.cpu(), sampling.sigma_max.cpu()))


def with_noise(model, x0: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """A latent at noise level sigma: x0 + sigma * noise; of a model of flows (1 - sigma) * x0 + sigma * noise."""
    sampling = model.get_model_object("model_sampling")
    return sampling.noise_scaling(torch.tensor(sigma, device=x0.device), noise, x0)
