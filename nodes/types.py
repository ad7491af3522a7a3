"""The values on EmerDiff's wires.

NamedTuples, because the host's cache counts the tensors in tuples; tensors on the CPU, never written in place.
B images, K segments, C channels; (h, w) a feature grid, (h', w') the latent, (H, W) the image at working size.

| type           | tensors                            | besides                                               |
|----------------|------------------------------------|-------------------------------------------------------|
| Features       | features [B, h, w, C] float32      | latent_size (h', w')                                  |
| Trajectory     | latent [B, c, h', w'] float32      | seed, timesteps, working_size, image_size, latent_format |
| LowResMasks    | masks [B, K, h, w] float32, 0 or 1 | latent_size (h', w')                                  |
| DifferenceMaps | difference [B, K, H, W] float32    | image_size                                            |
| Segmentation   | labels [B, H, W] int16 (image size)| count K, scores [B, K, H, W] or None                  |

`latent` is what the VAE gives, before the model's own scaling. The working size is what the model sees of the
image; the latent may be larger by the padding at the right and at the bottom.
"""

from __future__ import annotations

from typing import NamedTuple

from comfy_api.latest import io
from torch import Tensor

FeaturesType = io.Custom("EMERDIFF_FEATURES")
TrajectoryType = io.Custom("EMERDIFF_TRAJECTORY")
LowResMasksType = io.Custom("EMERDIFF_LOW_RES_MASKS")
DifferenceMapsType = io.Custom("EMERDIFF_DIFFERENCE_MAPS")
SegmentationType = io.Custom("EMERDIFF_SEGMENTATION")

Size = tuple[int, int]  # height, width


class Features(NamedTuple):
    features: Tensor
    latent_size: Size


class Trajectory(NamedTuple):
    latent: Tensor
    seed: int
    timesteps: tuple[int, ...]
    working_size: Size
    image_size: Size
    latent_format: str


class LowResMasks(NamedTuple):
    masks: Tensor
    latent_size: Size


class DifferenceMaps(NamedTuple):
    difference: Tensor
    image_size: Size


class Segmentation(NamedTuple):
    labels: Tensor
    count: int  # type: ignore[assignment]  # hides the method tuple.count, which nothing calls
    scores: Tensor | None = None
