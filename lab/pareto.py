"""Search for presets: quality gain over the bilinear baseline against cost, for many ways of modulated denoising.

Every scene's scores are appended to a file as they come, so an interrupted run goes on where it stopped. Costs are
those of Stable Diffusion 1.5 at 512 px with K = 20, not of the small model the gain is measured on.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch

from evaluate import append, standard_error
from metrics import bilinear_labels, scores
from pack import load_pack, start_host
from scenes import scene
from small_model.settings import SEGMENTS, STRENGTH

start_host()
load_pack()

from emerdiff.emerdiff_ops.difference import difference_maps, gaussian_smooth
from emerdiff.emerdiff_ops.labels import assign
from emerdiff.emerdiff_ops.modulation import PRESETS, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import noise_for, sample_level, timestep_grid
from emerdiff.nodes import host
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features

import response_coding
from small_model.model import load_conditioning, load_model, load_vae

TUNING = 20_000_000  # seed of the first scene that choices are made on
OUTPUT = Path(__file__).parent.parent / "demo_output" / "pareto"
METRICS = ("miou", "ari", "f1", "f2")
# TFLOP at 512 px (design, section 6): one evaluation, what follows the modulated layer, one decoding.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.5, 20


class Setting(NamedTuple):
    """One way to lift. runs: "two" and "one" sided, or a number of coded runs; memory: what a step keeps of x - D."""

    timestep: int
    steps: int | None
    runs: str = "two"
    memory: str = "ddpm"
    strength: float = STRENGTH

    @property
    def name(self) -> str:
        steps = "all" if self.steps is None else self.steps
        return f"t{self.timestep} {steps} {self.runs} {self.memory} {self.strength:g}"


SETTINGS = [
    *(Setting(p.timestep, p.steps, "two" if p.two_sided else "one") for p in PRESETS.values()),
    *(Setting(481, 5, runs) for runs in ("8", "12")),
]


def cost(setting: Setting) -> float:
    """TFLOP of one image with 20 masks."""
    variants = {"two": 2 * MASKS, "one": MASKS}.get(setting.runs) or int(setting.runs)
    levels = len(modulation_levels(timestep_grid(50), setting.timestep, setting.steps))
    decoded = variants + (setting.runs != "two")
    return UNET + variants * AFTER_LAYER + (levels - 1) * (variants + 1) * UNET + decoded * DECODER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=TUNING, help="seed of the first scene")
    parser.add_argument("--only", nargs="+", help="names of settings, for finalists")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    settings = {s.name: s for s in SETTINGS if not options.only or s.name in options.only}
    log = options.output / "scores.jsonl"
    done = {(row["seed"], row["setting"]) for row in read(log)}
    with torch.inference_mode():
        loaders = load_model(torch.bfloat16), load_vae(), load_conditioning([])
        for seed in range(options.first, options.first + options.scenes):
            missing = [s for s in settings.values() if (seed, s.name) not in done]
            if missing:
                begin = time.monotonic()
                rows = evaluate_scene(loaders, seed, missing)
                append(log, rows)
                print(f"scene {seed}  {time.monotonic() - begin:.1f} s", flush=True)
    report(log, settings, options)


def read(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def evaluate_scene(loaders, seed: int, settings: list[Setting]) -> list[dict]:
    """Gains over the baseline on one scene, for maps as they are and normalized, a row per setting."""
    true = scene(seed)
    features, trajectory = extract_features(*loaders, torch.from_numpy(true.image)[None], seed=seed)
    masks = cluster_features(features, segments=SEGMENTS).masks[0]
    baseline = scores(bilinear_labels(masks, true.labels.shape), true.labels)
    rows = []
    for setting in settings:
        smooth = gaussian_smooth(lifted(loaders, trajectory, masks, setting), 1.0)
        normalized = smooth / smooth.amax((1, 2), keepdim=True).clamp_min(1e-8)
        gains = {"seed": seed, "setting": setting.name, "baseline": baseline}
        for kind, maps in (("plain", smooth), ("normalized", normalized)):
            ours = scores(assign(maps).numpy(), true.labels)
            gains[kind] = {metric: ours[metric] - baseline[metric] for metric in METRICS}
        rows.append(gains)
    return rows


def lifted(loaders, trajectory, masks, setting: Setting) -> torch.Tensor:
    """Difference maps [K, H, W] of one image by the setting."""
    if setting.runs.isdigit():
        codes = response_coding.make_codes(masks, int(setting.runs))
        images = pictures(loaders, trajectory, setting.strength * codes @ masks.flatten(1), setting)
        return response_coding.difference_maps(images[1:] - images[:1], codes, masks)
    offsets = variant_offsets(masks, setting.strength, setting.runs == "two")
    images = pictures(loaders, trajectory, offsets, setting)
    return difference_maps(images[1:], None if setting.runs == "two" else images[:1])


def pictures(loaders, trajectory, offsets, setting: Setting) -> torch.Tensor:
    """The unmodulated picture and every variant's, [1 + V, H, W, 3]."""
    model, vae, conditioning = loaders
    layer = host.find_layer(model, "auto", last=True)
    levels = modulation_levels(trajectory.timesteps, setting.timestep, setting.steps)
    sigmas = [host.sigma_of(model, level) for level in levels]
    noise = noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps)
    power = {"ddpm": 2, "ode": 1}[setting.memory]
    offsets = torch.cat([torch.zeros_like(offsets[:1]), offsets])

    def work(x0, predict):
        x = sample_level(x0, sigmas[0], noise[levels[0]]).expand(len(offsets), -1, -1, -1)
        for step, (sigma, sigma_next) in enumerate(zip(sigmas, [*sigmas[1:], 0.0])):
            denoised = predict(x, sigma, host.Modulation(layer, offsets if step == 0 else None, True))
            if sigma_next:
                kept = denoised + (sigma_next / sigma) ** power * (x - denoised)
                x = kept + sample_level(x0, sigma_next, noise[levels[step + 1]]) - kept[:1]
        return denoised.cpu()

    return host.decode(vae, host.run_session(model, conditioning, trajectory.latent, work), trajectory.working_size)


def report(log: Path, settings: dict[str, Setting], options) -> None:
    """table.md, and pareto.png: boundary F and ARI gained against TFLOP."""
    seeds = range(options.first, options.first + options.scenes)
    rows = [row for row in read(log) if row["setting"] in settings and row["seed"] in seeds]
    lines = [
        f"{len({row['seed'] for row in rows})} scenes from seed {options.first}; gain over the bilinear baseline, "
        "paired, mean +- standard error; cost in TFLOP of SD1.5 at 512 px, K = 20.",
        "",
        "| setting | maps | cost | mIoU | ARI | F 1 px | F 2 px |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, setting in sorted(settings.items(), key=lambda item: cost(item[1])):
        for kind in ("plain", "normalized"):
            gains = np.array([[row[kind][metric] for metric in METRICS] for row in rows if row["setting"] == name])
            cells = map(partial(gained, gains), range(len(METRICS)))
            lines.append(f"| {name} | {kind} | {cost(setting):.0f} | {' | '.join(cells)} |")
    (options.output / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    plot(rows, settings, options.output / "pareto.png")


def gained(gains: np.ndarray, column: int) -> str:
    values = gains[:, column]
    return f"{values.mean():+.3f} +- {standard_error(values):.3f}"


def plot(rows, settings, path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    presets = {Setting(p.timestep, p.steps, "two" if p.two_sided else "one").name: name for name, p in PRESETS.items()}
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharex=True)
    for axis, metric, title in zip(axes, ("ari", "f2"), ("ARI", "boundary F, 2 px")):
        for kind, marker in (("plain", "o"), ("normalized", "^")):
            for name, setting in settings.items():
                gain = np.mean([row[kind][metric] for row in rows if row["setting"] == name])
                colour = "tab:red" if name in presets else "tab:blue"
                axis.plot(cost(setting), gain, marker, color=colour, alpha=0.8)
                if name in presets:
                    axis.annotate(presets[name], (cost(setting), gain), xytext=(4, 4), textcoords="offset points")
        axis.set(xscale="log", xlabel="TFLOP an image (SD1.5, 512 px, K = 20)", title=f"gain in {title}")
        axis.grid(alpha=0.3)
    figure.suptitle("Every setting tried: circles, maps as they are; triangles, normalized; red, the presets")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
