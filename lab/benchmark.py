"""Time, work and memory of every preset against the plain procedure, side by side in one run.

Plain is the paper's procedure without any shared work: every variant alone, batch 1, the whole UNet, attention maps
recorded and put back. Jobs take turns, so that whatever else the machine does meets all of them alike. Each part
leaves its table in demo_output/benchmark/.

  --part small     complete runs of the small trained model
  --part full      Stable Diffusion 1.5 at full size, random weights: a variant and step, and the decoder
  --part complete  the same, complete runs; for a GPU
  --part growth    how time grows with segments, pixels and pictures
  --part choices   batch size, block size, shared attention maps: what the exact path's settings were chosen from
  --part progress  how true the announced time left is
  --part guard     under half a minute: fails when the exact path has lost a third of its advantage over plain
  --publish        put all tables and plots there are into docs/performance.md
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import platform
import shutil
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import matplotlib
import numpy as np
import torch

from measure import PRECISIONS, Measured, compare, fastest_precision, matrix_rate, seconds_of
from pack import load_pack, start_host
from publish import publish as publish_tables
from scenes import HELD_OUT, scene

start_host()
load_pack()

import comfy.model_management
from emerdiff.emerdiff_ops.attention import shared_attention
from emerdiff.emerdiff_ops.modulation import PRESETS, decodings, in_chunks, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.nodes import hooks, host
from emerdiff.nodes.assemble import assemble_masks
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features
from emerdiff.nodes.modulate import lift, modulate_attention, noise_levels
from emerdiff.nodes.types import DifferenceMaps

import plain_reference
import small_model.model as small_model
from small_model.settings import SEGMENTS, STRENGTH

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "demo_output" / "benchmark"
PAGE, PICTURES = ROOT / "docs" / "performance.md", ROOT / "docs" / "images"
FULL_WORK = {256: (15, 0), 512: (2, 0)}  # pixels: masks, rounds
BLOCKS = (18, 20, 22, 24, 26)  # powers of two
GUARD_SEGMENTS = 6
GUARD_TIMESTEP = 81  # 5 of the paper's 15 steps
GUARD_ATTEMPTS = 3  # other work on the machine can spoil one measurement; code that has become slow fails them all
RECORDED = {"fp32": 1.9, "bf16": 1.66, "fp16": 1.66}  # times as fast as plain in the guard's work, the least seen


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for part in options.part:
            report = f"{heading()}\n\n{PARTS[part](options)}\n"
            (OUTPUT / f"{part}.md").write_text(report)
            print(report, flush=True)
    if options.publish:
        publish()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=["small", "full", "growth", "choices", "progress"])
    parser.add_argument("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pixels", type=int, nargs="+", default=[512, 768], help="for the part complete")
    parser.add_argument("--segments", type=int, nargs="+", default=[20, 30], help="for the part complete")
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    options.precision = options.precision or fastest_precision()
    return options


def heading() -> str:
    device = comfy.model_management.get_torch_device()
    cores = f"{torch.get_num_threads()} processor cores ({torch.backends.cpu.get_cpu_capability()})"
    name = torch.cuda.get_device_name() if device.type == "cuda" else cores
    return f"{datetime.date.today()}, {name}, {platform.machine()}, PyTorch {torch.__version__.split('+')[0]}."


def publish() -> None:
    """The newest tables and plots into the page."""
    publish_tables(PAGE, OUTPUT, OUTPUT.parent / "pareto")
    for source, name in (("benchmark/growth.png", "growth.png"), ("pareto/finalists.png", "pareto.png")):
        if (OUTPUT.parent / source).exists():
            shutil.copy(OUTPUT.parent / source, PICTURES / name)


# --- complete runs ---


def small(options) -> str:
    """Seconds of a whole segmentation of one scene by the small model, plain and by every preset."""
    dtype = PRECISIONS[options.precision]
    works = compare(whole_jobs(small_model.load(dtype), scene_image(), SEGMENTS, 0, STRENGTH), options.rounds)
    return f"**K = {SEGMENTS}, {options.precision}** {table(works, dtype)}"


def scene_image(size: int = 128) -> torch.Tensor:
    return torch.from_numpy(scene(HELD_OUT, size).image)[None]


def whole_jobs(loaders: small_model.Loaders, image, segments: int, resolution: int, strength: float) -> dict:
    settings = {"segments": segments, "resolution": resolution, "strength": strength}
    jobs = {"plain": partial(plain_pipeline, loaders, image, **settings)}
    return jobs | {name: partial(pipeline, loaders, image, **settings, preset=name) for name in PRESETS}


def pipeline(loaders: small_model.Loaders, image, segments=SEGMENTS, resolution=0, strength=STRENGTH, **modulation):
    features, trajectory = extract_features(*loaders, image, resolution=resolution)
    masks = cluster_features(features, segments=segments)
    return assemble_masks(modulate_attention(*loaders, trajectory, masks, strength=strength, **modulation))


def plain_pipeline(loaders: small_model.Loaders, image, segments=SEGMENTS, resolution=0, strength=STRENGTH, start=281):
    """The same features, clusters and assembly around the plain modulation."""
    model, vae, conditioning = loaders
    features, trajectory = extract_features(*loaders, image, resolution=resolution)
    masks = cluster_features(features, segments=segments).masks[0]
    noises, sigmas = levels_of(model, trajectory, start)
    layer = host.find_layer(model, "auto", last=True)
    maps = plain_reference.difference_maps(
        model, vae, conditioning, trajectory.latent, noises, sigmas, masks, strength, layer
    )
    return assemble_masks(DifferenceMaps(maps[None], trajectory.image_size))


def levels_of(model, trajectory, start: int) -> tuple[tuple[torch.Tensor, ...], list[float]]:
    """Noise and sigma of every level of the paper's schedule from `start` down."""
    noise, sigmas = noise_levels(model, trajectory, start, PRESETS["paper"])
    return noise.unbind(1), sigmas


# --- Stable Diffusion 1.5 at its full size ---


def full(options) -> str:
    """Cost of a variant and step in the UNet, and of a decoding, from which whole runs follow."""
    import full_size

    dtype = PRECISIONS[options.precision]
    loaders = full_size.load(dtype)
    sections = []
    for size, (masks, rounds) in FULL_WORK.items():
        unet = compare(full_jobs(loaders, size, masks), rounds)
        decoder = decoding(loaders, size)
        sections.append(f"**{size} px, {masks} masks, {options.precision}** {table(unet, dtype)}")
        sections.append(whole_runs(unet, decoder, 2 * masks))
    return "\n\n".join([*sections, layouts(loaders[0], loaders[2][0][0], dtype)])


def layouts(model, context, dtype, rows: int = 7, size: int = 256) -> str:
    """An evaluation of a batch in both memory layouts of images."""
    unet, device = model.model.diffusion_model, model.load_device
    x = torch.randn(rows, 4, size // 8, size // 8).to(device, dtype)
    inputs = torch.full((rows,), 200.0, device=device), context.to(x).expand(rows, -1, -1)
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    jobs = {name: partial(unet, x.contiguous(memory_format=each), *inputs) for name, each in formats.items()}
    seconds = [f"{name} {work.median:.2f} s" for name, work in compare(jobs, 1).items()]
    return f"One evaluation of {rows} rows at {size} px: {', '.join(seconds)}."


def full_jobs(loaders: small_model.Loaders, size: int, count: int) -> dict:
    """Both ways to lift a few masks, without decoding: by the modulated level alone, and one more after it."""
    model, _, conditioning = loaders
    features, trajectory = extract_features(*loaders, scene_image(size), resolution=size)
    masks = cluster_features(features, segments=count, restarts=1).masks[0]
    layer = host.find_layer(model, "auto", last=True)
    height, width = trajectory.latent.shape[-2:]
    rows = host.rows_that_fit(model, (height, width))
    chunks = list(in_chunks(variant_offsets(masks, 10.0), rows - 1, 2))

    def exact(start):
        noises, sigmas = levels_of(model, trajectory, start)

        def evaluate(predict, first, x, sigma, offsets):
            return predict(x, sigma, hooks.Modulation(layer, offsets, True, len(x)))

        return lift(model, conditioning, trajectory.latent, noises, sigmas, chunks, evaluate)

    def plain(start):
        noises, sigmas = levels_of(model, trajectory, start)
        return plain_reference.variants(model, conditioning, trajectory.latent, noises, sigmas, masks, 10.0, layer)

    starts = {"one level": 1, "two levels": 21}
    return {f"{name}, {count}": partial(job, start) for count, start in starts.items()
            for name, job in (("plain", plain), ("exact", exact))}  # fmt: skip


def decoding(loaders: small_model.Loaders, size: int) -> float:
    """Seconds of decoding one picture, of two at once."""
    latents = torch.randn(2, 4, size // 8, size // 8)
    host.decode(loaders[1], latents[:1], (size, size))
    return seconds_of(lambda: host.decode(loaders[1], latents, (size, size))) / len(latents)


def whole_runs(unet: dict[str, Measured], decoder: float, variants: int, masks: int = 20) -> str:
    """Every preset's whole run with 20 masks, computed from the cost of a variant and step."""
    first, later = {}, {}
    for name in ("plain", "exact"):
        first[name] = unet[f"{name}, one level"].median / variants
        later[name] = unet[f"{name}, two levels"].median / variants - first[name]
    plain = 2 * masks * (first["plain"] + 14 * later["plain"] + decoder)
    lines = [
        f"Seconds of a variant: plain {first['plain']:.2f} at the modulated level and {later['plain']:.2f} at a later "
        f"one, exact {first['exact']:.2f} and {later['exact']:.2f}; a decoding {decoder:.2f}. "
        f"Computed from these, with {masks} masks:",
        "",
        "| | levels | decodings | seconds | times as fast as plain |",
        "|---|---|---|---|---|",
        f"| plain | 15 | {2 * masks} | {plain:.0f} | 1.00 |",
    ]
    for name, preset in PRESETS.items():
        levels = len(modulation_levels(timestep_grid(50), preset.timestep, preset.steps))
        decoded = decodings(preset.readout, masks)
        seconds = 2 * masks * (first["exact"] + (levels - 1) * later["exact"]) + decoded * decoder
        lines.append(f"| {name} | {levels} | {decoded} | {seconds:.0f} | {plain / seconds:.2f} |")
    return "\n".join(lines)


def complete(options) -> str:
    """Whole runs at full size, plain and by every preset: for a GPU; on a processor it takes hours."""
    import full_size

    dtype = PRECISIONS[options.precision]
    loaders, sections = full_size.load(dtype), []
    for size, segments in itertools.product(options.pixels, options.segments):
        works = compare(whole_jobs(loaders, scene_image(size), segments, size, 10.0), options.rounds)
        sections.append(f"**{size} px, K = {segments}, {options.precision}** {table(works, dtype)}")
    return "\n\n".join(sections)


# --- the parts of the exact path that are chosen by measurement ---


def choices(options) -> str:
    """The number of rows in a batch, the size of a block of scores, and shared maps against one attention per row."""
    dtype, device = PRECISIONS[options.precision], comfy.model_management.get_torch_device()
    loaders, image = small_model.load(dtype), scene_image()
    rows = {f"{count} rows": partial(pipeline, loaders, image, rows=count, modulation_timestep=GUARD_TIMESTEP)
            for count in (3, 5, 9, 15, 29)}  # fmt: skip
    lines = ["Rows in a batch (small model, 28 variants, 5 levels):", "", "| rows | seconds |", "|---|---|"]
    lines += [f"| {name.split()[0]} | {work.median:.2f} |" for name, work in compare(rows, options.rounds).items()]
    lines += ["", "Attention of 9 rows with row 0's maps (SD1.5, 8 heads), ms; shared, by scores in a block:", ""]
    lines += ["| tokens | width | row by row | " + " | ".join(f"2^{power}" for power in BLOCKS) + " |"]
    lines += ["|---|---|---" + "|---" * len(BLOCKS) + "|"]
    for tokens, width in ((1024, 320), (4096, 320), (1024, 640), (256, 1280)):
        query, key = (torch.randn(1, tokens, width).to(device, dtype) for _ in range(2))
        value = torch.randn(9, tokens, width).to(device, dtype)
        jobs = {"row by row": partial(row_by_row, query, key, value, 8)}
        jobs |= {f"2^{power}": partial(shared_attention, query, key, value, 8, max_scores=2**power) for power in BLOCKS}
        works = compare(jobs, options.rounds)
        lines += [f"| {tokens} | {width} | " + " | ".join(f"{1e3 * work.median:.0f}" for work in works.values()) + " |"]
    return "\n".join(lines)


def row_by_row(query, key, value, heads: int) -> torch.Tensor:
    """The same by PyTorch's own attention, which computes the map anew for every row."""
    rows = value.shape[0]
    q, k, v = (t.expand(rows, -1, -1).unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


# --- the time left ---


def progress(options) -> str:
    """How far the announced time left is from the true one, between the first tenth of a run and its last."""
    loaders, image = small_model.load(PRECISIONS[options.precision]), scene_image()
    lines = ["| preset | seconds | announcements | median error of the time left | largest |", "|---|---|---|---|---|"]
    for name in PRESETS:
        announced = announcements(partial(pipeline, loaders, image, segments=30, rows=9, preset=name))
        end = announced[-1][0]
        middle = [(now, left) for now, left in announced if 0.1 < now / end < 0.9]
        errors = [abs(left - (end - now)) / (end - now) for now, left in middle]
        lines.append(f"| {name} | {end:.1f} | {len(errors)} | {np.median(errors):.0%} | {max(errors):.0%} |")
    return "\n".join(lines)


def announcements(job) -> list[tuple[float, float]]:
    """(seconds since the begin, seconds announced to be left) at every step of the modulation's progress bar."""
    seen, step = [], host.Progress.step

    def recording(self, *args, **kwargs):
        step(self, *args, **kwargs)
        if "decoding" in self.clock.planned:
            seen.append((self.last - self.begin, self.clock.left()))

    with mock.patch.object(host.Progress, "step", recording):
        job()
    return seen


# --- growth ---


def growth(options) -> str:
    """Log-log slopes of the time over segments, pixels and pictures, by a few of the paper's levels, and a plot."""
    loaders, image = small_model.load(PRECISIONS[options.precision]), scene_image()
    run = partial(pipeline, loaders, modulation_timestep=GUARD_TIMESTEP)
    series = {
        "segments": {k: partial(run, image, segments=k) for k in (5, 10, 20, 40, 60)},
        "side in pixels": {
            side: partial(run, scene_image(side), segments=2, resolution=side, modulation_timestep=21)
            for side in (256, 512, 1024)
        },
        "pictures": {n: partial(run, image.repeat(n, 1, 1, 1), segments=5) for n in (1, 2, 4, 8)},
    }
    medians = {
        title: {value: work.median for value, work in compare(jobs, max(1, options.rounds // 3)).items()}
        for title, jobs in series.items()
    }
    plot(medians)
    lines = [f"Small model, 5 of the paper's 15 levels (2 for the sides), {options.precision}:", ""]
    for title, points in medians.items():
        slope = np.polyfit(np.log(list(points)), np.log(list(points.values())), 1)[0]
        seconds = ", ".join(f"{value}: {taken:.2f} s" for value, taken in points.items())
        lines.append(f"- {title}: time grows with power {slope:.2f} ({seconds})")
    return "\n".join([*lines, "", "![Seconds against segments, pixels and pictures](images/growth.png)"])


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


def guard(options) -> str:
    """The exact path against plain on the small model; ends with exit code 1 when it lost a third of its advantage."""
    dtype = PRECISIONS[options.precision]
    loaders, image = small_model.load(dtype), scene_image()
    jobs = {
        "plain": partial(plain_pipeline, loaders, image, GUARD_SEGMENTS, start=GUARD_TIMESTEP),
        "exact": partial(pipeline, loaders, image, GUARD_SEGMENTS, modulation_timestep=GUARD_TIMESTEP),
    }
    recorded = RECORDED[options.precision]
    least = 1 + (recorded - 1) * 2 / 3
    for _ in range(GUARD_ATTEMPTS):
        works = compare(jobs, 3)
        ratio = works["plain"].median / works["exact"].median
        print(f"exact path: {ratio:.2f} times as fast as plain; recorded {recorded}, at least {least:.2f} wanted")
        if ratio >= least:
            return table(works, dtype)
    sys.exit(1)


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


PARTS = {
    "small": small, "full": full, "complete": complete, "growth": growth, "choices": choices, "progress": progress,
    "guard": guard,
}  # fmt: skip

if __name__ == "__main__":
    main()
