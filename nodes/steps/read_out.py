"""final latents -> difference maps: the ways to compare the variants of a picture, the paper's (sec. 3) and shorter.

Each takes (vae, finals, latent, size, progress): finals [1 + 2K, c, h', w'], the unmodulated run's first, then
I_1^-, I_1^+, I_2^-, ...; latent [1, c, h', w'], the picture's own; size (H, W), the working size. Each gives K maps
d_i [H, W], one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.difference import difference_maps, halfway, resize_maps
from ...emerdiff_ops.guided import guided_upsampler
from ..host import latents
from ..host.latents import pixels_per_cell
from ..host.progress import throw_if_cancelled
from .checks import check_decoded

VARIANTS_DECODED_AT_ONCE = 8  # an even number, so that pairs stay together


def by_pairs(vae, finals, latent, size, progress) -> Iterator[Tensor]:
    """d_i = || I_i^- - I_i^+ ||_2 of both decoded pictures."""
    return _decoded_differences(vae, finals[1:], None, size, progress)


def by_halfway(vae, finals, latent, size, progress) -> Iterator[Tensor]:
    """|| I_i - I_0 ||_2 of one decoded picture, halfway between both, and the unmodulated one."""
    finals = halfway(finals)
    base = decode(vae, finals[:1], size)
    progress.step("decoding")
    yield from _decoded_differences(vae, finals[1:], base, size, progress)


def by_latents(vae, finals, latent, size, progress) -> Iterator[Tensor]:
    """The differences of the latents themselves, enlarged along the borders of the picture."""
    cell = pixels_per_cell(vae)
    upsample = guided_upsampler(decode(vae, latent, size)[0], size, radius=cell)
    progress.step("decoding")
    for coarse in difference_maps(finals[1:], axis=1):  # [h', w']
        throw_if_cancelled()
        large = resize_maps(coarse[None], tuple(cell * side for side in coarse.shape))[0]
        yield upsample(large[: size[0], : size[1]])  # without the padding


def decode(vae, some, size) -> Tensor:
    """Pictures [N, H, W, 3] of finite latents, without the padding."""
    return check_decoded(latents.decode(vae, some, size))


def _decoded_differences(vae, variants, base, size, progress) -> Iterator[Tensor]:
    for some in variants.split(VARIANTS_DECODED_AT_ONCE):
        yield from difference_maps(decode(vae, some, size), base)
        progress.step("decoding", len(some))


class Readout(NamedTuple):
    decodings: Callable[[int], int]  # pictures that the decoder makes for so many masks
    maps: Callable[..., Iterator[Tensor]]


READOUTS = {
    "pairs": Readout(lambda masks: 2 * masks, by_pairs),
    "halfway": Readout(lambda masks: masks + 1, by_halfway),
    "latents": Readout(lambda masks: 1, by_latents),
}


def read_out(vae, finals, latent, size, readout: str, progress) -> Iterator[Tensor]:
    """d_i [H, W] of each mask by one of READOUTS."""
    return READOUTS[readout].maps(vae, finals, latent, size, progress)
