"""Places in a network where features are read and hooks act."""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """A cross-attention layer of a UNet: block name, block number, transformer inside the block."""

    block: str
    number: int
    transformer: int

    def __str__(self) -> str:
        return f"{self.block} {self.number}.{self.transformer}"


class Block(NamedTuple):
    """A block of a transformer: its kind, and its number among those."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


def layer_of(options: dict) -> Layer:
    """The layer that runs, by the host's options for a hook in it."""
    block, number = options["block"]
    return Layer(block, number, options.get("block_index", 0))
