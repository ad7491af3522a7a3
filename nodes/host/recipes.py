"""How words are found in each family of transformers: a row a family.

Where text has a stream of its own, words are found by ConceptAttention (Helbling et al., ICML 2025). Its repository
has settings for Flux.1, SD3.5 and Flux.2; other rows take Flux.1's share of the depth and its noise, and say so. Where
picture and text are one stream, words are found by FreeFuse (arXiv 2510.23515), which has settings for Z-Image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from .unet import network_of

# The last three tenths of 28 steps of Flux.2 at 1024 pixels: shares of noise of steps 19 to 26.
LAST_OF_28 = (0.803, 0.775, 0.741, 0.701, 0.651, 0.589, 0.508, 0.398)


class Recipe(NamedTuple):
    """Where concepts are scored, at which noise, and how the encoder's text becomes concepts."""

    source: str
    blocks: Callable[[int], range]  # by the number of two-stream blocks, those that are scored
    embed: Callable[[Any, Tensor, Tensor], Tensor]  # the network's embedding at a timestep [1] of the encoder's text
    levels: tuple[float, ...] = (0.5,)  # shares of noise
    last: bool = False  # a concept is its phrase's last token, for encoders that read forwards; else its first
    joined: bool = False  # all phrases are encoded as one text, by encoders with CLIP-G
    left_out: int = 0  # tokens before the first concept that run beside it and are not scored
    place: int = 0  # of concepts, among the text's positions
    unpooled: bool = False  # no pooled text and no guidance
    unit: bool = False  # only the concepts' direction counts
    temperature: float = 0.0  # of the softmax of the mean score; 0: the mean of the softmax of each score


def as_flux(network, timestep: Tensor, text: Tensor) -> Tensor:
    norm = getattr(network, "txt_norm", None)
    return network.txt_in(norm(text) if norm is not None else text)


def each_alone(network, timestep: Tensor, text: Tensor) -> Tensor:
    """Each token [1, n, width] as a text of its own, where the network's embedding mixes the tokens of a text."""
    texts = text.transpose(0, 1)
    return network.txt_in(texts, timestep.to(text.device).expand(len(texts)), None).transpose(0, 1)


FLUX = Recipe("published (ConceptAttention)", lambda count: range(max(0, count - 4), count), as_flux, unpooled=True)
UNKNOWN = FLUX._replace(source="a guess, Flux.1's", unpooled=False)

RECIPES = {  # by the host's name of the model's class
    "Flux": FLUX,
    "SD3": Recipe(
        "published (ConceptAttention, SD3.5 large turbo)",
        range,
        lambda net, timestep, text: net.context_embedder(text),
        levels=(0.602,),
        last=True,
        joined=True,
        left_out=1,  # the start token
        unit=True,
    ),
    "Flux2": Recipe(
        "published (ConceptAttention, dev while painting)",
        lambda count: range(max(0, count - 3), count),
        as_flux,
        levels=LAST_OF_28,
        last=True,
        place=510,
        temperature=1000.0,
    ),
    "Chroma": UNKNOWN,
    "QwenImage": UNKNOWN._replace(blocks=lambda count: range(count * 15 // 57, count * 19 // 57), last=True),
    "AuraFlow": UNKNOWN._replace(embed=lambda net, timestep, text: net.cond_seq_linear(text)),
    "LongCatImage": UNKNOWN._replace(last=True),
    "HunyuanImage21": UNKNOWN._replace(embed=each_alone, last=True),
}


class SeedRecipe(NamedTuple):
    """Where the picture's attention to words of the prompt is read, and at which noise."""

    source: str = "nothing is published, Z-Image's block and noise are a guess"
    blocks: int = 0  # the source's models have so many; 0: there is no source
    share: float = 0.6  # of the depth: block 18 of 30
    level: float = 0.938  # of noise: step 3 of 12
    tokens: int = 512  # at most, of all words together
    # The network's text is one text after another: which of the CLIP's encoders makes each ("": its only one), and how
    # many rows it has in a conditioning.
    encoders: tuple[str, ...] = ("",)
    rows: Callable[[Tensor, dict], list[int]] = lambda text, extras: [text.shape[1]]

    def source_of(self, blocks: int) -> str:
        return self.source if blocks == self.blocks or not self.blocks else SeedRecipe().source


SEED_RECIPES = {  # by the host's name of the model's class
    "Lumina2": SeedRecipe("found by eye (FreeFuse, Z-Image-Turbo while painting)", blocks=30),
    "Krea2": SeedRecipe(),
    "HiDream": SeedRecipe(  # in single blocks: T5's text, Llama's last layer and the layer of the block
        tokens=126,  # T5 cuts at 128
        encoders=("t5xxl", "llama", "llama"),
        rows=lambda text, extras: [text.shape[1], *2 * extras["conditioning_llama3"].shape[2:3]],
    ),
}


def seed_recipe_of(model) -> SeedRecipe | None:
    """The row of a MODEL; None where its family does not have one stream, or nothing is built."""
    return SEED_RECIPES.get(type(model.model).__name__)


def recipe_of(model) -> Recipe | None:
    """The row of a MODEL; None where nothing is known of its family."""
    return RECIPES.get(type(model.model).__name__)


def stack_of(model) -> Any:
    """The blocks of two streams."""
    network = network_of(model)
    names = ("double_blocks", "joint_blocks", "transformer_blocks", "double_layers")
    return next(getattr(network, name) for name in names if hasattr(network, name))
