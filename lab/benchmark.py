"""Time, work and memory of every preset against the plain procedure, side by side in one run.

Plain is the paper's procedure without any shared work: every variant alone, batch 1, the whole UNet, attention maps
recorded and put back. Jobs take turns, so that whatever else the machine does meets all of them alike. Each part
writes a table into demo_output/benchmark/.

  --part small   complete runs of the small trained model
  --part full    Stable Diffusion 1.5 at full size, random weights: a variant and step, and the decoder
  --part growth  how time grows with segments, pixels and pictures
  --part guard   under half a minute: fails when the exact path has lost a third of its advantage over plain
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import torch

from measure import Measured, compare, matrix_rate, seconds_of
from pack import load_pack, start_host
from scenes import HELD_OUT, scene

start_host()
load_pack()

import comfy.model_management
from emerdiff.emerdiff_ops.modulation import PRESETS, in_chunks, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import noise_for
from emerdiff.nodes import host
from emerdiff.nodes.assemble import assemble_masks
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features
from emerdiff.nodes.modulate import lift, modulate_attention
from emerdiff.nodes.types import DifferenceMaps

import plain_reference
from small_model.model import load_conditioning, load_model, load_vae
from small_model.settings import SEGMENTS, STRENGTH

OUTPUT = Path(__file__).parent.parent / "demo_output" / "benchmark"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FULL_SIZES = (256, 512)
FULL_MASKS = 4
GUARD_SEGMENTS = 6
GUARD_TIMESTEP = 81  # 5 of the paper's 15 steps
RECORDED_ADVANTAGE = 2.0  # of the exact path over plain in the guard's work; to be set from a run on an idle machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=["small", "full", "growth"])
    parser.add_argument("--precision", choices=DTYPES, default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for part in options.part:
            report = f"{heading()}\n\n{PARTS[part](DTYPES[options.precision], options.rounds)}\n"
            (OUTPUT / f"{part}.md").write_text(report)
            print(report, flush=True)


def heading() -> str:
    device = comfy.model_management.get_torch_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} processor cores"
    return f"{datetime.date.today()}, {name}, {platform.machine()}, PyTorch {torch.__version__.split('+')[0]}"


# --- complete runs of the small model ---


def small(dtype, rounds: int) -> str:
    """Seconds of a whole segmentation of one scene, plain and by every preset."""
    loaders, image = small_model(dtype), scene_image()
    jobs = {"plain": partial(plain_pipeline, loaders, image)}
    jobs |= {name: partial(pipeline, loaders, image, preset=name) for name in PRESETS}
    return f"Small model, whole pipeline, K = {SEGMENTS}, {dtype}:\n\n" + table(compare(jobs, rounds), dtype)


def small_model(dtype):
    return load_model(dtype), load_vae(), load_conditioning([])


def scene_image(size: int = 128) -> torch.Tensor:
    return torch.from_numpy(scene(HELD_OUT, size).image)[None]


def pipeline(loaders, image, segments=SEGMENTS, resolution=0, **modulation):
    features, trajectory = extract_features(*loaders, image, resolution=resolution)
    masks = cluster_features(features, segments=segments)
    return assemble_masks(modulate_attention(*loaders, trajectory, masks, strength=STRENGTH, **modulation))


def plain_pipeline(loaders, image, segments=SEGMENTS, start=281):
    """The same features, clusters and assembly around the plain modulation."""
    model, vae, conditioning = loaders
    features, trajectory = extract_features(*loaders, image)
    masks = cluster_features(features, segments=segments).masks[0]
    noises, sigmas = levels_of(model, trajectory, start)
    layer = host.find_layer(model, "auto", last=True)
    maps = plain_reference.difference_maps(
        model, vae, conditioning[0][0], trajectory.latent, noises, sigmas, masks, STRENGTH, layer
    )
    return assemble_masks(DifferenceMaps(maps[None], trajectory.image_size))


def levels_of(model, trajectory, start: int):
    """Noise and sigma of every level of the paper's schedule from `start` down."""
    levels = modulation_levels(trajectory.timesteps, start)
    noise = noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps)
    return [noise[level] for level in levels], [host.sigma_of(model, level) for level in levels]


# --- Stable Diffusion 1.5 at its full size ---


def full(dtype, rounds: int) -> str:
    """Seconds of a variant's UNet evaluations, at the modulated level and at the later ones, and of a decoding."""
    import full_size

    loaders = full_size.load(dtype)
    sections = []
    for size in FULL_SIZES:
        unet = compare(full_jobs(loaders, size), max(1, rounds // 2))
        sections.append(f"SD1.5 at full size, {size} px, {FULL_MASKS} masks, {dtype}:\n\n{table(unet, dtype)}")
        sections.append(per_variant(unet, decoding(loaders, size)))
    return "\n\n".join(sections)


def full_jobs(loaders, size: int) -> dict:
    """Both ways to lift four masks, without decoding: by the modulated level alone, and one more after it."""
    model, _, conditioning = loaders
    image = scene_image(size)
    features, trajectory = extract_features(*loaders, image, resolution=size)
    masks = cluster_features(features, segments=FULL_MASKS, restarts=1).masks[0]
    layer = host.find_layer(model, "auto", last=True)
    chunks = list(
        in_chunks(variant_offsets(masks, 10.0), host.rows_that_fit(model, trajectory.latent.shape[-2:]) - 1, 2)
    )

    def ours(start):
        noises, sigmas = levels_of(model, trajectory, start)

        def evaluate(predict, first, x, sigma, offsets):
            return predict(x, sigma, host.Modulation(layer, offsets, True))

        return lift(model, conditioning, trajectory.latent, noises, sigmas, chunks, evaluate)

    def plain(start):
        levels = levels_of(model, trajectory, start)
        return plain_reference.variants(model, conditioning[0][0], trajectory.latent, *levels, masks, 10.0, layer)

    starts = {"one level": 1, "two levels": 21}
    return {f"{name}, {count}": partial(job, start) for count, start in starts.items()
            for name, job in (("plain", plain), ("exact", ours))}  # fmt: skip


def decoding(loaders, size: int) -> float:
    """Seconds of decoding one picture, of four at once."""
    latents = torch.randn(4, 4, size // 8, size // 8)
    host.decode(loaders[1], latents[:1], (size, size))
    return seconds_of(lambda: host.decode(loaders[1], latents, (size, size))) / 4


def per_variant(unet: dict[str, Measured], decoder: float, masks: int = 20) -> str:
    """Cost of a variant and step, and the whole paper preset with 20 masks computed from it."""
    variants, lines, whole = 2 * FULL_MASKS, [], {}
    for name in ("plain", "exact"):
        first = unet[f"{name}, one level"].median / variants
        later = unet[f"{name}, two levels"].median / variants - first
        whole[name] = 2 * masks * (first + 14 * later)
        lines.append(f"- {name}: {first:.2f} s a variant at the modulated level, {later:.2f} s at a later one")
    total = (whole["plain"] + 2 * masks * decoder) / (whole["exact"] + 2 * masks * decoder)
    lines.append(f"- decoder: {decoder:.2f} s a picture")
    lines.append(
        f"- computed from these for 15 levels and {masks} masks: {whole['plain'] / whole['exact']:.2f} times "
        f"as fast as plain in the UNet, {total:.2f} times with the decoder"
    )
    return "\n".join(lines)


# --- growth ---


def growth(dtype, rounds: int) -> str:
    """Log-log slopes of the paper preset's time over segments, pixels and pictures, and a plot."""
    loaders, image = small_model(dtype), scene_image()
    run = partial(pipeline, loaders)
    series = {
        "segments": {k: partial(run, image, segments=k) for k in (5, 10, 20, 40, 60)},
        "side in pixels": {
            side: partial(run, scene_image(side), segments=4, resolution=side) for side in (128, 256, 512)
        },
        "pictures": {n: partial(run, image.repeat(n, 1, 1, 1)) for n in (1, 2, 4, 8)},
    }
    medians = {
        title: {value: work.median for value, work in compare(jobs, max(1, rounds // 2)).items()}
        for title, jobs in series.items()
    }
    plot(medians)
    lines = [f"Small model, paper preset, {dtype}:", ""]
    for title, points in medians.items():
        slope = np.polyfit(np.log(list(points)), np.log(list(points.values())), 1)[0]
        seconds = ", ".join(f"{value}: {taken:.2f} s" for value, taken in points.items())
        lines.append(f"- {title}: time grows with power {slope:.2f} ({seconds})")
    return "\n".join(lines)


def plot(medians: dict[str, dict[int, float]]) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(medians), figsize=(11, 3.5))
    for axis, (title, points) in zip(axes, medians.items()):
        axis.loglog(list(points), list(points.values()), "o-")
        axis.set(xlabel=title, ylabel="seconds")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(OUTPUT / "growth.png", dpi=110)


# --- the guard of the tests ---


def guard(dtype, rounds: int) -> str:
    """The exact path against plain on the small model; ends with exit code 1 when it lost a third of its advantage."""
    loaders, image = small_model(dtype), scene_image()
    jobs = {
        "plain": partial(plain_pipeline, loaders, image, GUARD_SEGMENTS, GUARD_TIMESTEP),
        "exact": partial(pipeline, loaders, image, GUARD_SEGMENTS, modulation_timestep=GUARD_TIMESTEP),
    }
    works = compare(jobs, 3)
    ratio = works["plain"].median / works["exact"].median
    least = 1 + (RECORDED_ADVANTAGE - 1) * 2 / 3
    print(f"exact path: {ratio:.2f} times as fast as plain; recorded {RECORDED_ADVANTAGE}, at least {least:.2f} wanted")
    if ratio < least:
        sys.exit(1)
    return table(works, dtype)


def table(works: dict[str, Measured], dtype) -> str:
    """A row per job: seconds, ratio to the first one, GFLOP, share of the matrix-product rate, peak memory."""
    rate = matrix_rate(dtype, comfy.model_management.get_torch_device())
    first = next(iter(works.values()))
    lines = [
        f"(large matrix products: {rate / 1e9:.0f} GFLOP/s)",
        "",
        "| | seconds (quartiles) | times as fast | GFLOP | share of the matrix rate | peak memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, work in works.items():
        low, high = work.spread
        lines.append(
            f"| {name} | {work.median:.2f} ({low:.2f}-{high:.2f}) | {first.median / work.median:.2f} | "
            f"{work.flops / 1e9:.0f} | {work.flops / work.median / rate:.0%} | {work.peak / 2**20:.0f} |"
        )
    return "\n".join(lines)


PARTS = {"small": small, "full": full, "growth": growth, "guard": guard}

if __name__ == "__main__":
    main()
