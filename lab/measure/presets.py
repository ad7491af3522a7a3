"""Search for presets: quality against cost, for many ways of modulated denoising, on both models and four kinds of
pictures.

A preset is chosen for the worse of the models, on the tuning half, and reported on the other. What counts is the whole
way, from the picture to the labels: gains are over the baseline, features read plainly as in the paper and enlarged
bilinearly, and the paper's own way is the measure. Costs are those of Stable Diffusion 1.5 at 512 px with K = 20.

  first look   python3 lab/run.py pareto --model small-sd --count 4
  finalists    python3 lab/run.py pareto --model small-sd --count 30 --only finalists
  the presets  python3 lab/run.py pareto --model small-sd --count 50 --only presets --half reporting

Every picture's scores are appended to demo_output/pareto/MODEL HALF.jsonl, so an interrupted run goes on where it
stopped. The report is of all models that there are scores of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, read
from measure.metrics import bilinear_labels
from measure.pictures import KINDS, Pictured, measure_missing_pictures
from measure.presets_plot import COARSE, Key, plot
from measure.timing import PRECISIONS, fastest_precision
from small_model.photographs import FOLDER, HALVES

start_host()
load_pack()

from emerdiff.emerdiff_ops.borders import Look, drafted, weighted
from emerdiff.emerdiff_ops.difference import difference_maps, evened, gaussian_smooth, resize_maps
from emerdiff.emerdiff_ops.grid import grid_over
from emerdiff.emerdiff_ops.modulation import PRESETS, modulated_denoising, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.emerdiff_ops.segments.labels import assign
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, ROBUST
from emerdiff.nodes.steps.modulate import noise_levels, pushed
from emerdiff.nodes.steps.read_out import READOUTS, guide_of

from measure import beds
from measure.pipeline import Pipeline

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "pareto"
EVENNESS = (0.0, 0.5, 1.0)
METRICS = {"miou": "mIoU", "ari": "ARI", "f2": "boundary F, 2 px"}
# TFLOP at 512 px, counted: one evaluation, what follows the modulated layer, one decoding; features read plainly, and
# with surroundings and mirrored (two halves of an evaluation, of 768 px). The encoding that all share is left out.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.48, 20
READING = {PLAIN: 0.32, ROBUST: 2 * 0.85}


class Setting(NamedTuple):
    """One way to lift; timestep and steps as in a Preset. Every way to read its answer and to even it is tried."""

    timestep: int
    steps: int | None
    deterministic: bool = True
    plain: bool = False  # whether features are read as in the paper
    lifted: bool = True  # else the coarse masks along the picture's borders

    @property
    def name(self) -> str:
        read_as = "plain" if self.plain else "robust"
        if not self.lifted:
            return f"coarse masks, {read_as}"
        steps = "all" if self.steps is None else self.steps
        return f"t{self.timestep} {steps} {'ddim' if self.deterministic else 'ddpm'}, {read_as}"

    @property
    def levels(self) -> tuple[int, ...]:
        return modulation_levels(timestep_grid(50), self.timestep, self.steps)


PAPER = Setting(281, None, deterministic=False, plain=True)
PLAIN_DRAFT, DRAFT = (Setting(281, None, plain=plain, lifted=False) for plain in (True, False))
FINALISTS = [PAPER, PLAIN_DRAFT, DRAFT, Setting(281, 2), Setting(281, 4), Setting(381, 4), Setting(281, None, False)]
FIRST_LOOK = [
    *FINALISTS,
    *(Setting(start, steps) for start in (281, 381, 481) for steps in (2, 3, 4, 5)),
    *(Setting(start, 2) for start in (101, 201)),
    Setting(281, 4, plain=True),
    Setting(481, 5, False),
]
PRESET_SETTINGS = {
    name: Setting(p.timestep, p.steps, p.deterministic, name == "paper", p.lifts) for name, p in PRESETS.items()
}
GROUPS = {"finalists": FINALISTS, "presets": [PLAIN_DRAFT, *PRESET_SETTINGS.values()], "first_look": FIRST_LOOK}


class Answer(NamedTuple):
    """Difference maps [K, H, W] by one way to read them, the TFLOP they cost, and what weights them once evened."""

    readout: str
    maps: torch.Tensor
    cost: float
    weigh: Callable[[torch.Tensor], Iterable[torch.Tensor]] = iter


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    settings = {setting.name: setting for setting in GROUPS[options.only]}
    if not options.report:
        bed = beds.chosen(options)
        with torch.inference_mode():
            pipeline = Pipeline(PRECISIONS[options.precision or fastest_precision()], bed)
            measure = partial(measured, pipeline, settings=settings, group=options.only)
            log, wanted = OUTPUT / f"{bed.name} {options.half}.jsonl", ("baseline", *settings)
            measure_missing_pictures(log, options, bed.size, measure, wanted, lambda row: row["setting"])
    logs = {path.stem.removesuffix(f" {options.half}"): read(path) for path in OUTPUT.glob(f"* {options.half}.jsonl")}
    report(logs, settings, f"{options.only} {options.half}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--half", choices=HALVES, default="tuning")
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--count", type=int, default=4, help="pictures of every kind")
    parser.add_argument("--only", choices=GROUPS, default="first_look", help="which settings")
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    parser.add_argument("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
    parser.add_argument("--report", action="store_true", help="measure nothing, only tabulate what there is")
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured, names: list[str], settings, group: str) -> Iterator[Row]:
    """A row for every setting, readout and evenness, and the baseline's; of the presets only what is shown."""
    coarse = {
        reading == PLAIN: (cluster_features(features, pipeline.bed.segments).masks[0], trajectory)
        for reading in (PLAIN, ROBUST)
        for features, trajectory in [pipeline.features(seen.image, 0, reading=reading)]
    }
    size, baseline = seen.image.shape[:2], {"setting": "baseline", "readout": "", "evenness": 0.0, "cost": 0.0}
    for name in names:
        if name == "baseline":
            yield {**baseline, **seen.scores(bilinear_labels(coarse[True][0], size))}
            continue
        masks, trajectory = coarse[settings[name].plain]
        readouts = [each for each in READOUTS if group != "presets" or is_own(name, each)]
        for answer in answers(pipeline, trajectory, masks, seen, settings[name], readouts):
            for evenness in EVENNESS:
                if group == "presets" and not is_shown((name, answer.readout, evenness), group):
                    continue
                maps = gaussian_smooth(torch.stack(list(answer.weigh(evened(answer.maps, evenness)))), 1.0)
                tried = {"setting": name, "readout": answer.readout, "evenness": evenness, "cost": answer.cost}
                yield {**tried, **seen.scores(assign(maps, size).numpy())}


def answers(pipeline: Pipeline, trajectory, masks, seen: Pictured, setting: Setting, readouts) -> Iterator[Answer]:
    """The setting's difference maps, by every one of these ways to read its latents."""
    size, vae = trajectory.working_size, pipeline.source.vae
    reading = READING[PLAIN if setting.plain else ROBUST]
    guide = guide_of(vae, trajectory.latent, size, Unseen(), torch.from_numpy(seen.image))
    look = Look(guide, grid_over(tuple(masks.shape[-2:]), tuple(trajectory.latent.shape[-2:]), size))
    if not setting.lifted:
        yield Answer(COARSE, torch.stack(list(drafted(look, masks, lambda: None))), reading)
        return
    finals = final_latents(pipeline, trajectory, masks, setting)
    cost = reading + unet_cost(2 * MASKS, setting)
    for name in readouts:
        readout = READOUTS[name]
        maps = torch.stack(list(readout.maps(vae, finals, look, size, Unseen(), finals.device)))
        price = cost + DECODER * readout.decodings(MASKS)
        yield Answer(name, maps, price)
        if setting != PAPER:
            weigh = partial(weighted, look=look, masks=masks)
            yield Answer(f"{name}, prior", maps, price, weigh)
    yield Answer("latents, unguided", resize_maps(difference_maps(finals[1:], axis=1), size), cost)


class Unseen:
    """Stands in for a progress bar."""

    def step(self, kind: str, amount: int = 1) -> None:
        pass


def final_latents(pipeline: Pipeline, trajectory, masks, setting: Setting) -> torch.Tensor:
    """The final latents of the unmodulated run and of every variant, [1 + V, c, h', w']."""
    source = pipeline.source
    layer = unet.find_layer(source.model, "auto", last=True)
    push = pipeline.push("paper" if setting == PAPER else "balanced")
    offsets = variant_offsets(masks, push.size)
    noises, sigmas = noise_levels(source.model, trajectory, 0, setting)

    def work(x0, predict):
        denoise = partial(pushed, predict, layer, push)
        eps = [noise.to(x0) for noise in noises]
        return modulated_denoising(denoise, x0, eps, sigmas, offsets.to(x0), setting.deterministic).cpu()

    return run_session(source.model, source.conditioning, trajectory.latent, work)


def unet_cost(variants: int, setting: Setting) -> float:
    """TFLOP of the UNet for an image: the shared prefix, the rest of the first level, the later levels."""
    return UNET + variants * AFTER_LAYER + (len(setting.levels) - 1) * (variants + 1) * UNET


# --- the report ---


class Tried(NamedTuple):
    """What one setting, readout and evenness gave on one model and kind of pictures, picture by picture."""

    cost: float
    gains: dict[str, np.ndarray]  # over the baseline
    shares: dict[str, float]  # of what the paper's way gains on the same pictures


def report(logs: dict[str, list[Row]], settings: dict[str, Setting], name: str) -> None:
    """NAME.md: a table per model and kind, and what every setting keeps on the worse; NAME.png of the latter."""
    tables = {(bed, kind): tried(rows, kind) for bed, rows in logs.items() for kind in KINDS}
    tables = {what: each for what, each in tables.items() if each}
    worst = worst_of(tables)
    shown = [key for key in worst if key[0] in settings and is_shown(key, name)]
    lines = [
        "What every setting keeps of the paper's gain, on the model and kind of pictures where it keeps least.",
        "",
    ]
    lines += ["| setting | readout | evenness | cost, TFLOP | mIoU | ARI | boundary F, 2 px |", "|---" * 7 + "|"]
    for key in sorted(shown, key=lambda each: worst[each].cost):
        shares = (f"{worst[key].shares[metric]:.2f}" for metric in METRICS)
        lines.append(f"| {' | '.join(cells_of(key, worst[key].cost))} | {' | '.join(shares)} |")
    for (bed, kind), table in tables.items():
        lines += ["", *section(f"{bed}, {kind}", table, shown)]
    (OUTPUT / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    drawn = [key for key in worst if is_shown(key, name) or not name.startswith("presets")]
    points = {key: worst[key]._replace(gains=gains_on_worse(tables, key)) for key in drawn}
    plot(points, preset_names(), {metric: METRICS[metric] for metric in ("ari", "f2")}, OUTPUT / f"{name}.png")


def tried(rows: list[Row], kind: str) -> dict[Key, Tried]:
    groups: dict[Key, dict] = {}
    for row in rows:
        if row["kind"] == kind:
            groups.setdefault((row["setting"], row["readout"], row["evenness"]), {})[row["key"]] = row
    baseline, paper = groups.pop(("baseline", "", 0.0), {}), groups.get((PAPER.name, "pairs", 0.0), {})
    return {key: gained(group, baseline, paper) for key, group in groups.items() if group.keys() & paper.keys()}


def gained(group: dict, baseline: dict, paper: dict) -> Tried:
    """Gains on all pictures of the group; shares on those that the paper's way ran on too."""
    common = sorted(group.keys() & paper.keys())
    gains, shares = {}, {}
    for metric in METRICS:
        gains[metric] = np.array([row[metric] - baseline[key][metric] for key, row in group.items()])
        ours, theirs = (
            float(np.mean([rows[key][metric] - baseline[key][metric] for key in common])) for rows in (group, paper)
        )
        shares[metric] = ours / theirs
    return Tried(float(np.mean([row["cost"] for row in group.values()])), gains, shares)


def worst_of(tables: dict[tuple[str, str], dict[Key, Tried]]) -> dict[Key, Tried]:
    """Of settings that ran everywhere the least share in each metric."""
    everywhere = set.intersection(*(set(each) for each in tables.values())) if tables else set()
    return {
        key: Tried(
            next(iter(tables.values()))[key].cost,
            {},
            {metric: min(each[key].shares[metric] for each in tables.values()) for metric in METRICS},
        )
        for key in everywhere
    }


def gains_on_worse(tables: dict[tuple[str, str], dict[Key, Tried]], key: Key) -> dict[str, np.ndarray]:
    """Of each metric the gain over the baseline, mean of the kinds of pictures, on the model where it is least."""
    beds = {bed: [table[key].gains for (each, _), table in tables.items() if each == bed] for bed, _ in tables}
    return {
        metric: np.min([np.mean([gains[metric].mean() for gains in kinds]) for kinds in beds.values()])
        for metric in METRICS
    }


def section(title: str, table: dict[Key, Tried], shown: list[Key]) -> list[str]:
    lines = [f"**{title}**: gain over the baseline, paired, +- standard error, and the share of the paper's.", ""]
    lines += [f"| setting | readout | evenness | cost, TFLOP | pictures | {' | '.join(METRICS.values())} |"]
    lines += ["|---" * (5 + len(METRICS)) + "|"]
    for key in sorted(shown, key=lambda each: table[each].cost):
        one = table[key]
        cells = [f"{mean_and_error(one.gains[metric], '+')} ({one.shares[metric]:.2f})" for metric in METRICS]
        count = str(len(one.gains["ari"]))
        lines.append(f"| {' | '.join([*cells_of(key, one.cost), count, *cells])} |")
    return lines


def cells_of(key: Key, cost: float) -> list[str]:
    setting, readout, evenness = key
    preset = preset_names().get(key)
    return [f"**{preset}**: {setting}" if preset else setting, readout, f"{evenness:g}", f"{cost:.0f}"]


def preset_names() -> dict[Key, str]:
    readouts = {name: p.readout + ", prior" * p.prior if p.lifts else COARSE for name, p in PRESETS.items()}
    return {(PRESET_SETTINGS[name].name, readouts[name], p.evenness): name for name, p in PRESETS.items()}


def is_own(setting: str, readout: str) -> bool:
    """Whether a preset of this setting reads its latents so."""
    return any(key[0] == setting and key[1].startswith(readout) for key in preset_names())


def is_shown(key: Key, name: str) -> bool:
    """Of the presets their own readout and what to hold it against; of the others those evened by half, and paper's."""
    if name.startswith("presets"):
        return key in preset_names() or (key[1] == COARSE and key[2] == 0.0)
    return key[2] == 0.5 or key == (PAPER.name, "pairs", 0.0)


if __name__ == "__main__":
    main()
