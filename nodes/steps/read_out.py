"""final latents -> difference maps: the ways to compare the variants of a picture, the paper's (sec. 3) and shorter.

Each takes (vae, finals, guide, size, progress): finals [1 + 2K, c, h', w'], the unmodulated run's first, then
I_1^-, I_1^+, I_2^-, ...; guide [H, W, 3], the picture where it is looked at; size (H, W), the working size. Each gives
K maps d_i [H, W], one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.difference import difference_maps, halfway, resize_maps
from ...emerdiff_ops.guided import COARSE, guided_upsampler, radius_of
from ..host import latents
from ..host.latents import pixels_per_cell
from ..host.progress import throw_if_cancelled
from .checks import check_decoded

SELDOM = 0.02  # share of a map that its coarse mask leaves where it does not reach at all
VARIANTS_DECODED_AT_ONCE = 8  # an even number, so that pairs stay together


def by_pairs(vae, finals, guide, size, progress) -> Iterator[Tensor]:
    """d_i = || I_i^- - I_i^+ ||_2 of both decoded pictures."""
    return _decoded_differences(vae, finals[1:], None, size, progress)


def by_halfway(vae, finals, guide, size, progress) -> Iterator[Tensor]:
    """|| I_i - I_0 ||_2 of one decoded picture, halfway between both, and the unmodulated one."""
    finals = halfway(finals)
    base = decode(vae, finals[:1], size)
    progress.step("decoding")
    yield from _decoded_differences(vae, finals[1:], base, size, progress)


def by_latents(vae, finals, guide, size, progress) -> Iterator[Tensor]:
    """The differences of the latents themselves, enlarged along the borders of the picture."""
    cell = pixels_per_cell(vae)
    upsample = guided_upsampler(guide, size, radius=cell)
    for coarse in difference_maps(finals[1:], axis=1):  # [h', w']
        throw_if_cancelled()
        large = resize_maps(coarse[None], tuple(cell * side for side in coarse.shape))[0]
        yield upsample(large[: size[0], : size[1]])  # without the padding


def guide_of(vae, latent, size, progress, picture=None) -> Tensor:
    """What is looked at [H, W, 3] at working size: the picture [any, any, 3], or its latent [1, c, h', w'] decoded."""
    if picture is not None:
        return resize_maps(picture.movedim(-1, 0), size).movedim(0, -1)
    decoded = decode(vae, latent, size)[0]
    progress.step("decoding")
    return decoded


def weighted(maps: Iterable[Tensor], masks: Tensor, guide, covered, size) -> Iterator[Tensor]:
    """Each d_i times how far the coarse mask it comes from, along the picture's borders, covers the pixel.

    masks [K, h, w] of the grid that covers so many pixels, the padding included; at least SELDOM is left of a map
    anywhere, so that a clear answer overrules its coarse mask.
    """
    for each, mask in zip(maps, along_borders(masks, guide, covered, size), strict=True):
        yield each * mask.clamp_min(SELDOM).to(each)


def along_borders(masks: Tensor, guide, covered, size, share: float = COARSE) -> Iterator[Tensor]:
    """Coarse masks [K, h, w] of the grid that covers so many pixels, 0..1, along the guide's borders, at its size.

    The windows are a `share` of the shorter side of the working size.
    """
    upsample = guided_upsampler(guide, size, radius_of(share, size))
    for mask in masks:
        coarse = resize_maps(mask[None].float(), covered)[0, : size[0], : size[1]]
        yield upsample(coarse).clamp(0, 1)


def decode(vae, some, size) -> Tensor:
    """Pictures [N, H, W, 3] of finite latents, without the padding."""
    return check_decoded(latents.decode(vae, some, size))


def _decoded_differences(vae, variants, base, size, progress) -> Iterator[Tensor]:
    for some in variants.split(VARIANTS_DECODED_AT_ONCE):
        yield from difference_maps(decode(vae, some, size), base)
        progress.step("decoding", len(some))


class Readout(NamedTuple):
    decodings: Callable[[int], int]  # pictures that the decoder makes for so many masks
    guided: bool  # whether it looks at the picture besides
    maps: Callable[..., Iterator[Tensor]]


READOUTS = {
    "pairs": Readout(lambda masks: 2 * masks, False, by_pairs),
    "halfway": Readout(lambda masks: masks + 1, False, by_halfway),
    "latents": Readout(lambda masks: 0, True, by_latents),
}


def looks(readout: str, prior: bool) -> bool:
    """Whether the picture itself is looked at."""
    return READOUTS[readout].guided or prior


def read_out(vae, finals, guide, size, readout: str, progress) -> Iterator[Tensor]:
    """d_i [H, W] of each mask by one of READOUTS."""
    return READOUTS[readout].maps(vae, finals, guide, size, progress)
