"""Stable Diffusion 1.5 at its full size, random weights: what a variant and step cost, and a decoding."""

import itertools
from functools import partial

import torch
from emerdiff.emerdiff_ops.modulation import PRESETS, modulation_levels
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.latents import decode
from emerdiff.nodes.host.progress import Progress
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import Push, Run, subjects_of
from emerdiff.nodes.steps.read_out import READOUTS
from emerdiff.nodes.steps.values import Source

from measure.jobs import levels_of, scene_image, table, whole_jobs
from measure.tables import markdown
from measure.timing import PRECISIONS, Measured, compare, seconds_of
from reference import full_size, plain_procedure

FULL_WORK = {256: (15, 0), 512: (2, 0)}  # pixels: masks, rounds


def full(options) -> str:
    """Cost of a variant and step in the UNet, and of a decoding, from which whole runs follow."""
    dtype = PRECISIONS[options.precision]
    source = Source(*full_size.load(dtype))
    sections = []
    for size, (masks, rounds) in FULL_WORK.items():
        unet = compare(full_jobs(source, size, masks), rounds)
        decoder = decoding(source, size)
        sections.append(f"**{size} px, {masks} masks, {options.precision}** {table(unet, dtype)}")
        sections.append(whole_runs(unet, decoder, 2 * masks))
    return "\n\n".join(sections)


def full_jobs(source: Source, size: int, count: int) -> dict:
    """Both ways to lift a few masks, without decoding: by the modulated level alone, and one more after it."""
    features, trajectory = extract_features(source, scene_image(size), resolution=size)
    low_res = cluster_features(features, count, restarts=1)
    layer = unet.find_layer(source.model, "auto", last=True)

    def exact(start):
        subjects = subjects_of(trajectory, low_res, [None])
        levels = levels_of(source.model, trajectory, start)
        return Run(source, subjects, levels, Push(timestep=start), Progress()).variants(0)

    def plain(start):
        levels = levels_of(source.model, trajectory, start)
        given = source.model, source.conditioning, trajectory.latent, *levels
        return plain_procedure.variants(*given, low_res.masks[0], 10.0, layer)

    starts = {"one level": 1, "two levels": 21}
    return {f"{name}, {count}": partial(job, start) for count, start in starts.items()
            for name, job in (("plain", plain), ("exact", exact))}  # fmt: skip


def decoding(source: Source, size: int) -> float:
    """Seconds of decoding one picture, of two at once."""
    latents = torch.randn(2, 4, size // 8, size // 8)
    decode(source.vae, latents[:1], (size, size))
    return seconds_of(lambda: decode(source.vae, latents, (size, size))) / len(latents)


def whole_runs(unet: dict[str, Measured], decoder: float, variants: int, masks: int = 20) -> str:
    """Every preset's whole run with 20 masks, computed from the cost of a variant and step."""
    first, later = {}, {}
    for name in ("plain", "exact"):
        first[name] = unet[f"{name}, one level"].median / variants
        later[name] = unet[f"{name}, two levels"].median / variants - first[name]
    plain = 2 * masks * (first["plain"] + 14 * later["plain"] + decoder)
    title = (
        f"Seconds of a variant: plain {first['plain']:.2f} at the modulated level and {later['plain']:.2f} at a later "
        f"one, exact {first['exact']:.2f} and {later['exact']:.2f}; a decoding {decoder:.2f}. "
        f"Computed from these, with {masks} masks:"
    )
    lines: list[list] = [["plain", 15, 2 * masks, f"{plain:.0f}", "1.00"]]
    for name, preset in PRESETS.items():
        if not preset.lifts:
            continue
        levels = len(modulation_levels(timestep_grid(50), preset.timestep, preset.steps))
        decoded = READOUTS[preset.readout].decodings(masks)
        seconds = 2 * masks * (first["exact"] + (levels - 1) * later["exact"]) + decoded * decoder
        lines.append([name, levels, decoded, f"{seconds:.0f}", f"{plain / seconds:.2f}"])
    return markdown(title, ["", "levels", "decodings", "seconds", "times as fast as plain"], lines)


def complete(options) -> str:
    """Whole runs at full size, plain and by every preset: for a GPU; on a processor it takes hours."""
    dtype = PRECISIONS[options.precision]
    source, sections = Source(*full_size.load(dtype)), []
    for size, segments in itertools.product(options.pixels, options.segments):
        works = compare(whole_jobs(source, scene_image(size), segments, size, 10.0), options.rounds)
        sections.append(f"**{size} px, K = {segments}, {options.precision}** {table(works, dtype)}")
    return "\n\n".join(sections)
