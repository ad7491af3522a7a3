"""What is timed: whole segmentations, plain and by every preset; and the table of what was measured."""

from functools import partial

import comfy.model_management
import torch
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.host import unet
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features, reading_of
from emerdiff.nodes.steps.modulate import Push, modulate_attention, noise_levels
from emerdiff.nodes.steps.values import DifferenceMaps, Source

from measure.tables import markdown
from measure.timing import Measured, matrix_rate
from reference import plain_procedure
from small_model.scenes import HELD_OUT, scene
from small_model.settings import SEGMENTS, STRENGTH


def scene_image(size: int = 128) -> torch.Tensor:
    return torch.from_numpy(scene(HELD_OUT, size).image)[None]


def whole_jobs(source: Source, image, segments: int, resolution: int, strength: float) -> dict:
    """A whole segmentation, plain and by every preset."""
    settings = {"segments": segments, "resolution": resolution}
    jobs = {"plain": partial(plain_pipeline, source, image, strength=strength, **settings)}
    return jobs | {name: partial(pipeline, source, image, Push(name, strength), **settings) for name in PRESETS}


def pipeline(source: Source, image, push: Push, segments=SEGMENTS, resolution=0, rows=None):
    features, trajectory = extract_features(source, image, resolution=resolution, reading=reading_of(push.preset))
    masks = cluster_features(features, segments)
    return assemble_masks(modulate_attention(source, trajectory, masks, push, rows, image=image))


def plain_pipeline(source: Source, image, segments=SEGMENTS, resolution=0, strength=STRENGTH, start=281):
    """The same features, clusters and assembly around the plain modulation."""
    features, trajectory = extract_features(source, image, resolution=resolution)
    masks = cluster_features(features, segments).masks[0]
    noises, sigmas = levels_of(source.model, trajectory, start)
    layer = unet.find_layer(source.model, "auto", last=True)
    maps = plain_procedure.difference_maps(*source, trajectory.latent, noises, sigmas, masks, strength, layer)
    return assemble_masks(DifferenceMaps(maps[None], trajectory.image_size))


def levels_of(model, trajectory, start: int) -> tuple[list[torch.Tensor], list[float]]:
    """Noise and sigma of every level of the paper's schedule from `start` down."""
    return noise_levels(model, trajectory, start, PRESETS["paper"])


def table(works: dict[str, Measured], dtype) -> str:
    """A row per job: seconds, ratio to the first one, GFLOP, share of the matrix-product rate, peak memory."""
    rate = matrix_rate(dtype, comfy.model_management.get_torch_device())
    first = next(iter(works.values()))
    lines = []
    for name, work in works.items():
        low, high = work.spread
        seconds, ratio = f"{work.median:.2f} ({low:.2f}-{high:.2f})", f"{first.median / work.median:.2f}"
        share = f"{work.flops / work.median / rate:.0%}"
        lines.append([name, seconds, ratio, f"{work.flops / 1e9:.0f}", share, f"{work.peak / 2**20:.0f}"])
    heads = ["", "seconds (quartiles)", "times as fast", "GFLOP", "share of the matrix rate", "peak memory, MiB"]
    return markdown(f"(large matrix products: {rate / 1e9:.0f} GFLOP/s)", heads, lines)
