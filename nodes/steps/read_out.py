"""final latents -> difference maps: the paper's way to compare a picture's variants (sec. 3), and shorter ways.

Each takes (vae, finals, look, size, progress, device). finals [1 + 2K, c, h', w'] are the unmodulated run's, then
I_1^-, I_1^+, I_2^-, ... look is the picture on the device, for ways that follow its borders. size (H, W) is the
working size. Each yields K maps d_i [H, W] on the device, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.difference import difference_maps, halfway, resize_maps
from ...emerdiff_ops.grid import Grid
from ...emerdiff_ops.guided import guided_upsampler
from ..host import latents
from ..host.latents import pixels_per_cell
from ..host.progress import throw_if_cancelled
from .checks import check_decoded
from .values import size_of

VARIANTS_DECODED_AT_ONCE = 8  # an even number, so that pairs stay together


def by_pairs(vae, finals, look, size, progress, device) -> Iterator[Tensor]:
    """d_i = || I_i^- - I_i^+ ||_2 of both decoded pictures."""
    return _decoded_differences(vae, finals[1:], None, size, progress, device)


def by_halfway(vae, finals, look, size, progress, device) -> Iterator[Tensor]:
    """|| I_i - I_0 ||_2 of one decoded picture, halfway between both, and the unmodulated one."""
    finals = halfway(finals)
    base = decode(vae, finals[:1], size).to(device)
    progress.step("decoding")
    yield from _decoded_differences(vae, finals[1:], base, size, progress, device)


def by_latents(vae, finals, look, size, progress, device) -> Iterator[Tensor]:
    """The differences of the latents themselves, enlarged along the borders of the picture."""
    cell, cells = pixels_per_cell(vae), size_of(finals)
    grid = Grid(cells, size, (cell * cells[0], cell * cells[1]))
    upsample = guided_upsampler(look.picture, size, radius=cell)
    for coarse in difference_maps(finals[1:].to(device), axis=1).split(1):  # [1, h', w']
        throw_if_cancelled()
        yield upsample(grid.enlarged(coarse)[0])


def guide_of(vae, latent, size, progress, picture=None) -> Tensor:
    """The guide [H, W, 3] at working size: the picture [any, any, 3], or its latent [1, c, h', w'] decoded."""
    if picture is not None:
        return resize_maps(picture.movedim(-1, 0), size).movedim(0, -1)
    decoded = decode(vae, latent, size)[0]
    progress.step("decoding")
    return decoded


def decode(vae, some, size) -> Tensor:
    """Pictures [N, H, W, 3] of finite latents, without the padding."""
    return check_decoded(latents.decode(vae, some, size))


def _decoded_differences(vae, variants, base, size, progress, device) -> Iterator[Tensor]:
    for some in variants.split(VARIANTS_DECODED_AT_ONCE):
        yield from difference_maps(decode(vae, some, size).to(device), base)
        progress.step("decoding", len(some))


class Readout(NamedTuple):
    decodings: Callable[[int], int]  # how many pictures to decode for a number of masks
    guided: bool  # whether it also follows the picture's borders
    maps: Callable[..., Iterator[Tensor]]


READOUTS = {
    "pairs": Readout(lambda masks: 2 * masks, False, by_pairs),
    "halfway": Readout(lambda masks: masks + 1, False, by_halfway),
    "latents": Readout(lambda masks: 0, True, by_latents),
}
