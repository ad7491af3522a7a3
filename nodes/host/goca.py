"""What GoCA reads from a UNet in one evaluation: how places attend to words and to each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.attention import mean_attention
from ...emerdiff_ops.goca import attention_maps, on_grid, over_heads
from .hooks import _by_head, _replacement_at, _replacements
from .places import Layer
from .unet import cross_attention_layers, grid_of, network_of

Size = tuple[int, int]
OF_SD1 = Layer("output", 7, 0), (Layer("output", 9, 0), Layer("output", 10, 0), Layer("input", 2, 0))


class Places(NamedTuple):
    """Where GoCA reads: all layers' grids, the reference feature's layer, those whose self-attention carries maps."""

    grids: dict[Layer, Size]
    reference: Layer
    carrying: tuple[Layer, ...]

    @property
    def finest(self) -> Size:
        return max(self.grids.values())


def places_of(model, latent: Size) -> Places:
    """The places as published for SD1.5; for all other models as for SDXL.

    There the first layer of the finest output level is the reference, and all layers of that size carry.
    """
    grids = {layer: grid_of(model, layer, latent) for layer in cross_attention_layers(model)}
    finest = [layer for layer, grid in grids.items() if grid == max(grids.values())]
    reference: Layer
    carrying: tuple[Layer, ...]
    reference, carrying = OF_SD1
    if not {reference, *carrying, Layer("output", 11, 0)} <= set(grids):
        reference, carrying = next(each for each in finest if each.block == "output"), tuple(finest)
    return Places(grids, reference, carrying)


class PlacesAndWords:
    """Keeps how one row's places attend to words and to each other; changes nothing.

    maps: by layer [h*w, tokens]. own: by layer [r, r] on the reference's grid. carrying: own, on the finest grid.
    """

    def __init__(self, model, places: Places, attend: Callable):
        self.network, self.places, self.attend = network_of(model), places, attend
        self.maps: dict[Layer, Tensor] = {}
        self.own: dict[Layer, Tensor] = {}
        self.carrying: list[Tensor] = []
        self.reference: Tensor | None = None

    def install(self, transformer_options) -> None:
        for attention, keep in (("attn1", self.keep_own), ("attn2", self.keep_words)):
            replacements = _replacements(transformer_options, attention)
            for layer in self.places.grids:
                attend = _replacement_at(replacements, layer) or self.attend
                replacements[layer] = partial(_kept, keep, layer, attend)

    def keep_own(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor, heads: int) -> None:
        grid, places = self.places.grids[layer], self.places
        if not query.shape[1] == key.shape[1] == grid[0] * grid[1]:
            return  # another pack merges places; the missing map tells so later
        own = mean_attention(_by_head(query, heads), _by_head(key, heads), grid)
        self.own[layer] = on_grid(own, grid, places.grids[places.reference])
        if layer in places.carrying:
            self.carrying.append(own)

    def keep_words(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor, heads: int) -> None:
        if layer == self.places.reference:
            self.reference = query[0].float()
        maps = attention_maps(query[0], key[0], heads)
        outputs = self._outputs(layer, maps, value[0])
        self.maps[layer] = over_heads(maps, outputs)

    def _outputs(self, layer: Layer, maps: Tensor, value: Tensor) -> Tensor:
        """o_h = A_h V_h W_h, [heads, h*w, C]: the layer's own output projection, applied to one head at a time."""
        project = self._projection(layer)
        given = maps.to(value.dtype) @ value.unflatten(1, (len(maps), -1)).transpose(0, 1)  # [heads, h*w, d]
        nothing = value.new_zeros(1, 1, value.shape[1])
        alone = [torch.zeros_like(given[:1]).repeat(1, 1, len(maps)) for _ in maps]
        for number, (each, own) in enumerate(zip(alone, given, strict=True)):
            each[0, :, number * own.shape[1] : (number + 1) * own.shape[1]] = own
        return torch.cat([project(each) for each in alone]) - project(nothing)

    def _projection(self, layer: Layer) -> Callable[[Tensor], Tensor]:
        if layer.block == "middle":
            block = self.network.middle_block
        else:
            block = getattr(self.network, f"{layer.block}_blocks")[layer.number]
        (part,) = (part for part in block if hasattr(part, "transformer_blocks"))
        return part.transformer_blocks[layer.transformer].attn2.to_out[0]


def _kept(keep: Callable, layer: Layer, attend: Callable, query, key, value, options):
    keep(layer, query, key, value, options["n_heads"])
    return attend(query, key, value, options)
