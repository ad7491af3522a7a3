"""The values on EmerDiff's wires, and the three wires of the host that go together.

They are NamedTuples because the host's cache counts the tensors in tuples; nobody writes into them. Features, the masks
on their grid and difference maps lie where the network ran, trajectories and segmentations on the processor. Axes and
dtypes are in SPECS in emerdiff_ops/files/layout.py, the table of the saved files. Floats are float32.

`pictures` is the digest of the pictures that were read, so that values of different pictures are not combined.
`numbering` is the same wherever a number means the same segment: in all pictures with shared clusters. Both are None
where unknown, as in files of version 0.1. `gram` holds the inner products of the masks' mean features. `tree` says how
the segments of each picture merge by them, until one is left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ...emerdiff_ops.grid import Grid, grid_over

Size = tuple[int, int]  # height, width


def size_of(maps: Tensor) -> Size:
    """The size of maps [..., height, width]."""
    height, width = maps.shape[-2:]
    return height, width


class Source(NamedTuple):
    """What a picture is read with: MODEL, VAE and CONDITIONING (the empty prompt, in the paper)."""

    model: Any
    vae: Any
    conditioning: Any


class Features(NamedTuple):
    features: Tensor
    latent_size: Size  # h', w'; larger than the picture by the VAE's padding at the right and at the bottom
    working_size: Size | None = None  # None in files of version 0.1: as large as the latent
    pictures: str | None = None
    chains: Tensor | None = None  # float16: each picture's self-attention, where it was read for points
    chain_grid: Size | None = None  # of the chains' tokens
    clusters: Tensor | None = None  # of each picture by the few and the many that points need; read with the chains

    @property
    def grid(self) -> Grid:
        """Where the features lie in the picture."""
        return self._over(size_of(self.features[0, ..., 0]))

    @property
    def grid_of_chains(self) -> Grid:
        """Where the tokens of the chains lie in the picture."""
        return self._over(self.chain_grid or self.latent_size)

    def of(self, picture: int) -> Features:
        """The features of one picture."""
        tensors = {name: getattr(self, name) for name in ("features", "chains", "clusters")}
        own = {name: each[picture : picture + 1] for name, each in tensors.items() if each is not None}
        return self._replace(**own)

    def _over(self, cells: Size) -> Grid:
        return grid_over(cells, self.latent_size, self.working_size or self.latent_size)


class Trajectory(NamedTuple):
    latent: Tensor  # as the VAE gives it, before the model's own scaling
    seed: int  # of the noise at every timestep
    timesteps: tuple[int, ...]
    working_size: Size  # the image as the model sees it, without the padding
    image_size: Size
    latent_format: str
    pictures: str | None = None

    @property
    def latent_size(self) -> Size:
        """h', w'; larger than the picture by the VAE's padding at the right and at the bottom."""
        return size_of(self.latent)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pictures: [B, H, W]."""
        return len(self.latent), *self.image_size

    def of(self, picture: int) -> Tensor:
        """The latent of one picture: [1, c, h', w']."""
        return self.latent[picture : picture + 1]


Merges = list[tuple[int, int]]  # (number kept, number merged into it), the most alike first
Counts = tuple[int, ...]  # how many segments each picture has, where each has its own count


class LowResMasks(NamedTuple):
    masks: Tensor  # 0 or 1
    latent_size: Size
    counts: Counts | None = None
    pictures: str | None = None
    numbering: str | None = None
    gram: Tensor | None = None

    def of(self, picture: int) -> Tensor:
        """The masks of one picture: [K, h, w]."""
        return self.masks[picture, : self.counts[picture] if self.counts else None]


class DifferenceMaps(NamedTuple):
    difference: Tensor  # at working size
    image_size: Size
    counts: Counts | None = None
    pictures: str | None = None
    numbering: str | None = None
    gram: Tensor | None = None

    def of(self, picture: int) -> Tensor:
        """The maps of one picture: [K, H, W]."""
        return self.difference[picture, : self.counts[picture] if self.counts else None]


class Segmentation(NamedTuple):
    labels: Tensor
    count: int  # type: ignore[assignment]  # hides the method tuple.count, which nothing calls
    scores: Tensor | None = None
    counts: Counts | None = None
    pictures: str | None = None
    numbering: str | None = None
    tree: tuple[Merges, ...] | None = None

    @property
    def of_each(self) -> list[int]:
        """How many segments every picture has."""
        return list(self.counts or [self.count] * len(self.labels))
