"""Search for presets: quality gained over the bilinear baseline against cost, for many ways of modulated denoising.

Every scene's scores are appended to a file as they come, so an interrupted run goes on where it stopped. Costs are
those of Stable Diffusion 1.5 at 512 px with K = 20, not of the small model the gain is measured on.

  first look   python3 lab/run.py pareto --scenes 5
  finalists    python3 lab/run.py pareto --scenes 100 --only finalists
  the presets  python3 lab/run.py pareto --scenes 200 --first 10000000 --only presets
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, measure_missing, read
from measure.metrics import bilinear_labels, scores
from measure.timing import PRECISIONS, fastest_precision
from small_model.scenes import scene
from small_model.settings import SEGMENTS, STRENGTH

start_host()
load_pack()

from emerdiff.emerdiff_ops.difference import difference_maps, evened, gaussian_smooth, halfway, resize_maps
from emerdiff.emerdiff_ops.guided import guided_filter
from emerdiff.emerdiff_ops.modulation import PRESETS, modulated_denoising, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.emerdiff_ops.segments.labels import assign
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.latents import decode, pixels_per_cell
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import noise_levels, pushed
from emerdiff.nodes.steps.read_out import READOUTS
from emerdiff.nodes.steps.values import Source

from measure.masks import METRICS
from small_model.model import load

TUNING = 20_000_000  # seed of the first scene that choices are made on
OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "pareto"
EVENNESS = (0.0, 0.5, 1.0)
SHARES_SHOWN = (-0.5, 2.0)  # what lies outside is drawn at the edge
# TFLOP at 512 px (design, section 6): one evaluation, what follows the modulated layer, one decoding.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.5, 20


class Setting(NamedTuple):
    """One way to lift; timestep and steps as in a Preset. Every way to read its answer and to even it is tried."""

    timestep: int
    steps: int | None
    sides: int = 2  # 0: no lifting, the coarse masks along the picture's borders
    deterministic: bool = True
    strength: float = STRENGTH

    @property
    def name(self) -> str:
        if self.sides == 0:
            return "bilinear masks, no UNet"
        steps = "all" if self.steps is None else self.steps
        kind = "ddim" if self.deterministic else "ddpm"
        return f"t{self.timestep} {steps} x{self.sides} {kind} {self.strength:g} alone"

    @property
    def levels(self) -> tuple[int, ...]:
        return modulation_levels(timestep_grid(50), self.timestep, self.steps)


PAPER = Setting(281, None, deterministic=False)
UNLIFTED = Setting(1, 1, sides=0)
FINALISTS = [UNLIFTED, PAPER, Setting(201, 2), Setting(381, 4)]
FIRST_LOOK = [
    *FINALISTS,
    *(Setting(281, steps, sides) for steps in (2, 3, 4, 5) for sides in (1, 2)),
    *(Setting(start, steps, sides) for start, steps in ((381, 4), (481, 3), (481, 5)) for sides in (1, 2)),
    Setting(381, 2),
    Setting(681, 5),
    *(Setting(start, 5, sides, False) for start in (281, 481) for sides in (1, 2)),
    *(Setting(281, 4, 2, True, strength) for strength in (10.0, 20.0, 45.0)),
    Setting(101, 1),
]
PRESET_SETTINGS = {name: Setting(p.timestep, p.steps, deterministic=p.deterministic) for name, p in PRESETS.items()}
GROUPS = {"finalists": FINALISTS, "presets": [UNLIFTED, *PRESET_SETTINGS.values()]}


class Answer(NamedTuple):
    """Difference maps [K, H, W] by one way to read them, and the TFLOP they cost."""

    readout: str
    maps: torch.Tensor
    cost: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=5)
    parser.add_argument("--first", type=int, default=TUNING, help="seed of the first scene")
    parser.add_argument("--only", choices=GROUPS, help="leave out the other settings")
    parser.add_argument("--report", action="store_true", help="evaluate nothing, only tabulate what there is")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    settings = {setting.name: setting for setting in GROUPS.get(options.only, FIRST_LOOK)}
    log, seeds = options.output / "scores.jsonl", range(options.first, options.first + options.scenes)
    if not options.report:
        with torch.inference_mode():
            source = Source(*load(PRECISIONS[fastest_precision()]))
            measure = partial(evaluate_scene, source, settings)
            measure_missing(log, seeds, measure, settings, lambda row: row["setting"])
    rows = [row for row in read(log) if row["seed"] in seeds]
    report(rows, set(settings), options.only or "first_look", options.output)


def evaluate_scene(source: Source, settings: dict[str, Setting], seed: int, names: list[str]) -> list[Row]:
    """Gains over the baseline on one scene: a row for every setting, readout and evenness."""
    true = scene(seed)
    image = torch.from_numpy(true.image)
    features, trajectory = extract_features(source, image[None], seed)
    masks = cluster_features(features, SEGMENTS).masks[0]
    baseline = scores(bilinear_labels(masks, true.labels.shape), true.labels)
    rows: list[Row] = []
    for name in names:
        for answer in answers(source, trajectory, masks, image, settings[name]):
            for evenness in EVENNESS:
                maps = gaussian_smooth(evened(answer.maps, evenness), 1.0)
                ours = scores(assign(maps).numpy(), true.labels)
                gains = {metric: ours[metric] - baseline[metric] for metric in METRICS}
                tried = {"setting": name, "readout": answer.readout, "evenness": evenness}
                rows.append({**tried, "cost": answer.cost, **gains})
    return rows


def answers(source: Source, trajectory, masks, image, setting: Setting) -> Iterator[Answer]:
    """The setting's difference maps, by every way to read its latents."""
    size = trajectory.working_size
    if setting.sides == 0:
        yield Answer("latents", guided_filter(resize_maps(masks, size), image, pixels_per_cell(source.vae)), DECODER)
        return
    offsets = variant_offsets(masks, setting.strength) if setting.sides == 2 else setting.strength * masks.flatten(1)
    finals = final_latents(source, trajectory, offsets, setting)
    cost = unet_cost(MASKS * setting.sides, setting)
    for readout, maps, decodings in readings(source, finals, trajectory, image, setting.sides == 2):
        yield Answer(readout, maps, cost + DECODER * decodings)


def final_latents(source: Source, trajectory, offsets, setting: Setting) -> torch.Tensor:
    """The final latents of the unmodulated run and of every variant, [1 + V, c, h', w']."""
    layer = unet.find_layer(source.model, "auto", last=True)
    noises, sigmas = noise_levels(source.model, trajectory, 0, setting)

    def work(x0, predict):
        denoise = partial(pushed, predict, layer, True)
        eps = [noise.to(x0) for noise in noises]
        return modulated_denoising(denoise, x0, eps, sigmas, offsets.to(x0), setting.deterministic).cpu()

    return run_session(source.model, source.conditioning, trajectory.latent, work)


class Unseen:
    """Stands in for a progress bar."""

    def step(self, kind: str, amount: int = 1) -> None:
        pass


def readings(source: Source, finals, trajectory, image, two_sided: bool) -> Iterator[tuple[str, torch.Tensor, int]]:
    """(name, maps [K, H, W], decodings for MASKS masks) of each way to compare the variants."""
    vae, size = source.vae, trajectory.working_size
    if two_sided:
        for name, readout in READOUTS.items():
            maps = readout.maps(vae, finals, trajectory.latent, size, Unseen())
            yield name, torch.stack(list(maps)), readout.decodings(MASKS)
        finals = halfway(finals)
    coarse = resize_maps(difference_maps(finals[1:], finals[:1], axis=1), size)
    yield "latents, unguided", coarse, 0
    if not two_sided:
        shown = decode(vae, finals, size)
        yield "pictures", difference_maps(shown[1:], shown[:1]), MASKS + 1
        yield "latents", guided_filter(coarse, image, pixels_per_cell(vae)), 1


def unet_cost(variants: int, setting: Setting) -> float:
    """TFLOP of the UNet for an image: the shared prefix, the rest of the first level, the later levels."""
    return UNET + variants * AFTER_LAYER + (len(setting.levels) - 1) * (variants + 1) * UNET


# --- the report ---

Tried = dict[tuple[str, str, float], dict[int, dict]]  # (setting, readout, evenness): rows by seed


def report(rows: list[Row], wanted: set[str], name: str, output: Path) -> None:
    """NAME.md, and NAME.png of everything tried on these scenes: what was gained against what it costs."""
    tried: Tried = {}
    for row in rows:
        tried.setdefault((row["setting"], row["readout"], row["evenness"]), {})[row["seed"]] = row
    paper = tried[(PAPER.name, "pairs", 0.0)]
    shown = {key: group for key, group in tried.items() if key[0] in wanted and is_shown(key, name)}
    lines = [
        f"Scenes from seed {min(paper)}. Gain over the bilinear baseline, paired, mean +- standard error; "
        "cost in TFLOP of SD1.5 at 512 px with K = 20; shares of what the paper's setting costs and gains here.",
        "",
        f"| {'preset | ' if name == 'presets' else ''}scenes | setting | readout | evenness | cost | "
        f"{' | '.join(METRICS.values())} | share of mIoU, ARI, F 2 px (scenes of both) |",
        "|---" * (11 if name == "presets" else 10) + "|",
    ]
    for key, group in sorted(shown.items(), key=lambda item: mean_cost(item[1])):
        first = f"{preset_names().get(key, '')} | " if name == "presets" else ""
        lines.append(f"| {first}{line(key, group, paper)} |")
    (output / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    plot(tried, paper, output / f"{name}.png")


def preset_names() -> dict[tuple, str]:
    return {(PRESET_SETTINGS[name].name, p.readout, p.evenness): name for name, p in PRESETS.items()}


def is_shown(key: tuple, name: str) -> bool:
    """Of the presets their own readout and what to hold it against; of the others those evened by 0.5."""
    controls = [(UNLIFTED.name, "latents", 0.5), (PRESET_SETTINGS["fast"].name, "latents, unguided", 0.5)]
    if name == "presets":
        return key in preset_names() or key in controls
    return key[2] == 0.5 or key == (PAPER.name, "pairs", 0.0)


def line(key: tuple, group: dict[int, dict], paper: dict[int, dict]) -> str:
    cost = f"{mean_cost(group):.0f} ({mean_cost(group) / mean_cost(paper):.0%})"
    cells = [mean_and_error(np.array([row[metric] for row in group.values()]), "+") for metric in METRICS]
    common = len(group.keys() & paper.keys())
    shares = ", ".join(f"{share(group, paper, metric):.2f}" for metric in ("miou", "ari", "f2")) + f" ({common})"
    return " | ".join([str(len(group)), *key[:2], f"{key[2]:g}", cost, *cells, shares])


def share(group: dict[int, dict], paper: dict[int, dict], metric: str) -> float:
    """What is gained, of what the paper's setting gains on the same scenes."""
    seeds = group.keys() & paper.keys()
    return float(np.mean([group[seed][metric] for seed in seeds]) / np.mean([paper[seed][metric] for seed in seeds]))


def mean_cost(group: dict[int, dict]) -> float:
    return float(np.mean([row["cost"] for row in group.values()]))


def plot(tried: Tried, paper: dict[int, dict], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {"pairs": "tab:blue", "halfway": "tab:cyan", "pictures": "tab:purple", "latents, unguided": "tab:green"}
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 5.5), sharex=True, sharey=True)
    for axis, metric in zip(axes, ("ari", "f2")):
        for key, group in tried.items():
            point = mean_cost(group), float(np.clip(share(group, paper, metric), *SHARES_SHOWN))
            axis.plot(*point, "o", color=colours.get(key[1], "tab:orange"), alpha=0.5, ms=5)
            if key in preset_names():
                axis.plot(*point, "*", color="tab:red", ms=15)
                axis.annotate(preset_names()[key], point, xytext=(7, -12), textcoords="offset points", weight="bold")
        axis.set(xscale="log", xlim=(2, 1500), xlabel="TFLOP an image (SD1.5, 512 px, K = 20)", title=METRICS[metric])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of the paper's gain over the bilinear baseline")
    for name, colour in {**colours, "latents, along the picture's borders": "tab:orange"}.items():
        axes[1].plot([], [], "o", color=colour, label=name)
    axes[1].legend(loc="lower right", title="compared are")
    figure.suptitle("Every setting tried, as it is and evened; stars: the presets")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
