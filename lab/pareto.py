"""Search for presets: quality gained over the bilinear baseline against cost, for many ways of modulated denoising.

Every scene's scores are appended to a file as they come, so an interrupted run goes on where it stopped. Costs are
those of Stable Diffusion 1.5 at 512 px with K = 20, not of the small model the gain is measured on.

  first look   python3 lab/run.py pareto --scenes 5
  finalists    python3 lab/run.py pareto --scenes 100 --only finalists
  the presets  python3 lab/run.py pareto --scenes 200 --first 10000000 --only presets
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch

from evaluate import METRICS, append, read, standard_error
from measure import PRECISIONS, fastest_precision
from metrics import bilinear_labels, scores
from pack import load_pack, start_host
from scenes import scene
from small_model.settings import SEGMENTS, STRENGTH

start_host()
load_pack()

from emerdiff.emerdiff_ops.difference import difference_maps, evened, gaussian_smooth, halfway, resize_maps
from emerdiff.emerdiff_ops.guided import guided_filter
from emerdiff.emerdiff_ops.labels import assign
from emerdiff.emerdiff_ops.modulation import PRESETS, modulated_denoising, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import sample_level, timestep_grid
from emerdiff.nodes import hooks, host
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features
from emerdiff.nodes.modulate import noise_levels

import response_coding
import shared_runs
import small_model.model as small_model

TUNING = 20_000_000  # seed of the first scene that choices are made on
OUTPUT = Path(__file__).parent.parent / "demo_output" / "pareto"
EVENNESS = (0.0, 0.5, 1.0)
SHARES_SHOWN = (-0.5, 2.0)  # what lies outside is drawn at the edge
# TFLOP at 512 px (design, section 6): one evaluation, what follows the modulated layer, one decoding.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.5, 20


class Setting(NamedTuple):
    """One way to lift; timestep and steps as in a Preset. Every way to read its answer and to even it is tried."""

    timestep: int
    steps: int | None
    sides: int = 2
    deterministic: bool = True
    strength: float = STRENGTH
    sharing: str = "alone"  # or "codes N", "groups N" (masks more than N cells apart share a run), "levels", "unlifted"

    @property
    def name(self) -> str:
        if self.sharing == "unlifted":
            return "bilinear masks, no UNet"
        steps = "all" if self.steps is None else self.steps
        kind = "ddim" if self.deterministic else "ddpm"
        return f"t{self.timestep} {steps} x{self.sides} {kind} {self.strength:g} {self.sharing}"

    @property
    def levels(self) -> tuple[int, ...]:
        return modulation_levels(timestep_grid(50), self.timestep, self.steps)


PAPER = Setting(281, None, deterministic=False)
UNLIFTED = Setting(1, 1, sharing="unlifted")
FINALISTS = [UNLIFTED, PAPER, Setting(201, 2), Setting(381, 4)]
FIRST_LOOK = [
    *FINALISTS,
    *(Setting(281, steps, sides) for steps in (2, 3, 4, 5) for sides in (1, 2)),
    *(Setting(start, steps, sides) for start, steps in ((381, 4), (481, 3), (481, 5)) for sides in (1, 2)),
    Setting(381, 2),
    Setting(681, 5),
    *(Setting(start, 5, sides, False) for start in (281, 481) for sides in (1, 2)),
    *(Setting(281, 4, 2, True, strength) for strength in (10.0, 20.0, 45.0)),
    *(Setting(481, 5, 1, True, STRENGTH, f"codes {runs}") for runs in (8, 12)),
    *(Setting(481, 5, 1, True, STRENGTH, f"groups {apart}") for apart in (1, 2, 3)),
    Setting(281, 3, 2, True, STRENGTH, "levels"),
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
    settings = list(dict.fromkeys(GROUPS.get(options.only, FIRST_LOOK)))
    log, seeds = options.output / "scores.jsonl", range(options.first, options.first + options.scenes)
    if not options.report:
        evaluate_missing(log, seeds, settings)
    rows = [row for row in read(log) if row["seed"] in seeds]
    report(rows, settings, options.only or "first_look", options.output)


def evaluate_missing(log: Path, seeds: range, settings: list[Setting]) -> None:
    """Append to the log what it does not have of every scene and setting."""
    done = {(row["seed"], row["setting"]) for row in read(log)}
    with torch.inference_mode():
        loaders = small_model.load(PRECISIONS[fastest_precision()])
        for seed in seeds:
            missing = [setting for setting in settings if (seed, setting.name) not in done]
            if missing:
                begin = time.monotonic()
                append(log, evaluate_scene(loaders, seed, missing))
                print(f"scene {seed}  {time.monotonic() - begin:.1f} s", flush=True)


def evaluate_scene(loaders: small_model.Loaders, seed: int, settings: list[Setting]) -> list[dict]:
    """Gains over the baseline on one scene: a row for every setting, readout and evenness."""
    true = scene(seed)
    image = torch.from_numpy(true.image)
    features, trajectory = extract_features(*loaders, image[None], seed=seed)
    masks = cluster_features(features, segments=SEGMENTS).masks[0]
    baseline = scores(bilinear_labels(masks, true.labels.shape), true.labels)
    rows: list[dict] = []
    for setting in settings:
        for answer in answers(loaders, trajectory, masks, image, setting):
            for evenness in EVENNESS:
                maps = gaussian_smooth(evened(answer.maps, evenness), 1.0)
                ours = scores(assign(maps).numpy(), true.labels)
                gains = {metric: ours[metric] - baseline[metric] for metric in METRICS}
                tried = {"setting": setting.name, "readout": answer.readout, "evenness": evenness}
                rows.append({"seed": seed, **tried, "cost": answer.cost, **gains})
    return rows


def answers(loaders: small_model.Loaders, trajectory, masks, image, setting: Setting) -> Iterator[Answer]:
    """The setting's difference maps, by every way to read its latents."""
    size = trajectory.working_size
    sharing, _, number = setting.sharing.partition(" ")
    if sharing == "unlifted":
        yield Answer("latents", guided_filter(resize_maps(masks, size), image, small_model.PATCH), DECODER)
        return
    if sharing == "codes":
        codes = response_coding.make_codes(masks, int(number))
        finals = latents(loaders, trajectory, setting.strength * codes @ masks.flatten(1), setting)
        change = pictures(loaders, finals, size)
        maps = response_coding.difference_maps(change[1:] - change[:1], codes, masks)
        yield Answer("pictures", maps, unet_cost(len(codes), setting) + DECODER * len(change))
        return
    groups = shared_runs.grouped(masks, int(number)) if sharing == "groups" else None
    pushed = masks if groups is None else torch.stack([shared_runs.union(group) for group in groups])
    up = setting.strength * pushed.flatten(1)
    offsets = variant_offsets(pushed, setting.strength) if setting.sides == 2 else up
    finals = latents(loaders, trajectory, offsets, setting)
    for readout, maps, decodings in readings(loaders, finals, image, size, setting.sides == 2):
        if groups is not None:
            maps = shared_runs.difference_maps(maps, groups, len(masks))
        runs = MASKS if groups is None else len(groups)
        yield Answer(readout, maps, unet_cost(runs * setting.sides, setting) + DECODER * decodings(runs))


def latents(loaders: small_model.Loaders, trajectory, offsets, setting: Setting) -> torch.Tensor:
    """The final latents of the unmodulated run and of every variant, [1 + V, c, h', w']."""
    model, _, conditioning = loaders
    layer = host.find_layer(model, "auto", last=True)
    noise, sigmas = noise_levels(model, trajectory, 0, setting)

    def work(x0, predict):
        def denoise(x, sigma, chunk):
            return predict(x, sigma, hooks.Modulation(layer, chunk, True, len(x)))

        eps = noise.to(x0).unbind(1)
        if setting.sharing == "levels":
            return one_step_each(denoise, x0, eps, sigmas, offsets.to(x0)).cpu()
        return modulated_denoising(denoise, x0, eps, sigmas, offsets.to(x0), setting.deterministic).cpu()

    return host.run_session(model, conditioning, trajectory.latent, work)


def one_step_each(denoise, x0, noises, sigmas, offsets) -> torch.Tensor:
    """The mean of the denoised predictions of all levels, each modulated by itself: no run is carried on."""
    offsets = torch.cat([torch.zeros_like(offsets[:1]), offsets])
    starts = [sample_level(x0, sigma, eps).expand(len(offsets), -1, -1, -1) for sigma, eps in zip(sigmas, noises)]
    return torch.stack([denoise(x, sigma, offsets) for x, sigma in zip(starts, sigmas)]).mean(0)


def readings(loaders: small_model.Loaders, finals, image, size, two_sided: bool):
    """(name, maps [K, H, W], decodings for K masks) of each way to compare the variants."""
    if two_sided:
        yield "pairs", difference_maps(pictures(loaders, finals[1:], size)), lambda count: 2 * count
        finals = halfway(finals)
    shown = pictures(loaders, finals, size)
    yield "halfway" if two_sided else "pictures", difference_maps(shown[1:], shown[:1]), lambda count: count + 1
    coarse = resize_maps(difference_maps(finals[1:], finals[:1], axis=1), size)
    yield "latents, unguided", coarse, lambda count: 0
    yield "latents", guided_filter(coarse, image, small_model.PATCH), lambda count: 1


def pictures(loaders: small_model.Loaders, finals, size) -> torch.Tensor:
    return host.decode(loaders[1], finals, size)


def unet_cost(variants: int, setting: Setting) -> float:
    """TFLOP of the UNet for an image: the shared prefix, the rest of the first level, the later levels."""
    if setting.sharing == "levels":
        return len(setting.levels) * (UNET + variants * AFTER_LAYER)
    return UNET + variants * AFTER_LAYER + (len(setting.levels) - 1) * (variants + 1) * UNET


# --- the report ---

Tried = dict[tuple[str, str, float], dict[int, dict]]  # (setting, readout, evenness): rows by seed


def report(rows: list[dict], settings: list[Setting], name: str, output: Path) -> None:
    """NAME.md, and NAME.png of everything tried on these scenes: what was gained against what it costs."""
    tried: Tried = {}
    for row in rows:
        tried.setdefault((row["setting"], row["readout"], row["evenness"]), {})[row["seed"]] = row
    paper = tried[(PAPER.name, "pairs", 0.0)]
    wanted = {setting.name for setting in settings}
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
    cells = [gained(np.array([row[metric] for row in group.values()])) for metric in METRICS]
    common = len(group.keys() & paper.keys())
    shares = ", ".join(f"{share(group, paper, metric):.2f}" for metric in ("miou", "ari", "f2")) + f" ({common})"
    return " | ".join([str(len(group)), *key[:2], f"{key[2]:g}", cost, *cells, shares])


def gained(gains: np.ndarray) -> str:
    return f"{gains.mean():+.3f} +- {standard_error(gains):.3f}"


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
