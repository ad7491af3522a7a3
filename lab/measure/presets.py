"""Presets and what is beside them: quality against cost, on any model and four kinds of pictures.

What counts is the whole way, from the picture to the labels: gains are over the baseline, features read plainly as in
the paper and enlarged bilinearly, and the paper's own way is the measure. Costs are those of Stable Diffusion 1.5 at
512 px with K = 20. The bundled presets were found so, on the worse of two small models (docs/performance.md).

  the presets  python3 lab/run.py pareto --model small-sd --count 50 --half reporting
  finalists    python3 lab/run.py pareto --model small-sd --count 30 --only finalists: other steps, starts and readouts

Every picture's scores are appended to demo_output/pareto/HALF ONLY.jsonl, so an interrupted run goes on where it
stopped. The table and the plot are of all models that there are scores of; `--minutes 0` measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.borders import Look, drafted, weighted
from emerdiff.emerdiff_ops.difference import evened, gaussian_smooth
from emerdiff.emerdiff_ops.grid import grid_over
from emerdiff.emerdiff_ops.modulation import PRESETS, modulated_denoising, modulation_levels, variant_offsets
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.emerdiff_ops.segments.labels import assign
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, ROBUST
from emerdiff.nodes.steps.modulate import noise_levels, predict_pushed
from emerdiff.nodes.steps.read_out import READOUTS, guide_of

from measure.log import Row, item_of, mean_and_error
from measure.metrics import CALLED, bilinear_labels
from measure.pictures import Pictured, Pictures
from measure.pipeline import Pipeline
from measure.presets_plot import COARSE, Key, Point, plot
from measure.study import Study
from measure.tables import grouped, markdown, paired

EVENNESS = 0.5  # of every setting that lifts but the paper's
METRICS = {name: CALLED[name] for name in ("miou", "ari", "f2")}
# TFLOP at 512 px, counted: one evaluation, what follows the modulated layer, one decoding; features read plainly, and
# with surroundings and mirrored (two halves of an evaluation, of 768 px). The encoding that all share is left out.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.48, 20
READING = {PLAIN: 0.32, ROBUST: 2 * 0.85}
BASELINE = "baseline"


class Setting(NamedTuple):
    """One way to lift; timestep and steps as in a Preset. Every way to read its answer is tried."""

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
PRESET_SETTINGS = {
    name: Setting(p.timestep, p.steps, p.deterministic, name == "paper", p.lifts) for name, p in PRESETS.items()
}
PRESET_NAMES: dict[Key, str] = {
    (PRESET_SETTINGS[name].name, p.readout + ", prior" * p.prior if p.lifts else COARSE): name
    for name, p in PRESETS.items()
}
GROUPS = {"presets": [PLAIN_DRAFT, *PRESET_SETTINGS.values()], "finalists": FINALISTS}


class Answer(NamedTuple):
    """Difference maps [K, H, W] by one way to read them, the TFLOP they cost, and what weights them once evened."""

    readout: str
    maps: torch.Tensor
    cost: float
    weigh: Callable[[torch.Tensor], Iterable[torch.Tensor]] = iter


def main() -> None:
    study = Study("pareto", __doc__, Pictures("tuning", 4), "performance.md", several=True)
    study.parser.add_argument("--only", choices=GROUPS, default="presets", help="which settings")
    only = study.options.only
    settings = {setting.name: setting for setting in GROUPS[only]}
    measure = partial(measured, settings=settings, only=only)
    rows = study.measure(measure, table, (BASELINE, *settings), itemgetter("setting"), only)
    shown = {metric: METRICS[metric] for metric in ("ari", "f2")}
    plot(points(rows), PRESET_NAMES, shown, study.options.output / f"{study.stem(only)}.png")


def measured(pipeline: Pipeline, seen: Pictured, names: list[str], settings, only: str) -> Iterator[Row]:
    """A row for every setting and readout, and the baseline's; of the presets by their own readouts alone."""
    coarse = {
        reading == PLAIN: (cluster_features(features, pipeline.bed.segments).masks[0], trajectory)
        for reading in (PLAIN, ROBUST)
        for features, trajectory in [pipeline.features(seen.image, 0, reading=reading)]
    }
    size = seen.image.shape[:2]
    for name in names:
        if name == BASELINE:
            scores = seen.scores(bilinear_labels(coarse[True][0], size))
            yield {"setting": BASELINE, "readout": "", "cost": 0.0, **scores}
            continue
        masks, trajectory = coarse[settings[name].plain]
        setting = settings[name]
        own = [each for each in READOUTS if only != "presets" or is_own(name, each)]
        for answer in answers(pipeline, trajectory, masks, seen, setting, own):
            if only == "presets" and setting.lifted and (name, answer.readout) not in PRESET_NAMES:
                continue
            maps = evened(answer.maps, EVENNESS if setting.lifted and setting != PAPER else 0.0)
            labels = assign(gaussian_smooth(torch.stack(list(answer.weigh(maps))), 1.0), size)
            yield {"setting": name, "readout": answer.readout, "cost": answer.cost, **seen.scores(labels.numpy())}


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
        denoise = partial(predict_pushed, predict, layer, push)
        eps = [noise.to(x0) for noise in noises]
        return modulated_denoising(denoise, x0, eps, sigmas, offsets.to(x0), setting.deterministic).cpu()

    return run_session(source.model, source.conditioning, trajectory.latent, work)


def unet_cost(variants: int, setting: Setting) -> float:
    """TFLOP of the UNet for an image: the shared prefix, the rest of the first level, the later levels."""
    return UNET + variants * AFTER_LAYER + (len(setting.levels) - 1) * (variants + 1) * UNET


def is_own(setting: str, readout: str) -> bool:
    """Whether a preset of this setting reads its latents so."""
    return any(of == setting and own.startswith(readout) for of, own in PRESET_NAMES)


# --- the report ---


def table(rows: list[Row], title: str) -> str:
    """A table for each model and kind: gain over the baseline, and the share of what the paper's way gains there."""
    heads = ["setting", "readout", "cost, TFLOP", "pictures", *METRICS.values()]
    sections = []
    for (model, kind), of_kind in grouped(rows, "model", "kind"):
        tried = sorted(settings_of(of_kind), key=lambda each: each[1][0]["cost"])
        lines = [line(key, group, of_kind) for key, group in tried]
        sections.append(markdown(f"**{model}, {kind}**", heads, lines))
    gains = "gain over the baseline, paired, +- standard error, and the share of the paper's on the same pictures"
    return "\n".join([f"{title}; {gains}; maps evened by {EVENNESS}, the paper's and coarse masks not.\n", *sections])


def settings_of(rows: list[Row]) -> Iterator[tuple[Key, list[Row]]]:
    """The rows of every setting and readout but the baseline's."""
    yield from (each for each in grouped(rows, "setting", "readout") if each[0][0] != BASELINE)


def line(key: Key, group: list[Row], of_kind: list[Row]) -> list:
    """Setting, readout, cost, number of pictures, and the gains, of a setting among the rows of its kind."""
    baseline = [row for row in of_kind if row["setting"] == BASELINE]
    paper = [row for row in of_kind if row["setting"] == PAPER.name and row["readout"] == "pairs"]
    items, cells = {item_of(row) for row in group}, []
    common = [row for row in paper if item_of(row) in items]
    for metric in METRICS:
        gain, ahead = (paired(group, each, metric) for each in (baseline, paper))
        share = 1 + ahead.mean() / paired(common, baseline, metric).mean() if common else float("nan")
        cells.append(f"{mean_and_error(gain, '+')} ({share:.2f})")
    setting, readout = key
    called = f"**{PRESET_NAMES[key]}**: {setting}" if key in PRESET_NAMES else setting
    return [called, readout, f"{group[0]['cost']:.0f}", len(group), *cells]


def points(rows: list[Row]) -> dict[Key, Point]:
    """Of every setting its cost, and its gains on the model where each is least, mean of the kinds of pictures."""
    baseline, found = [row for row in rows if row["setting"] == BASELINE], {}
    for key, group in settings_of(rows):
        by_model = [list(grouped(of_model, "kind")) for _, of_model in grouped(group, "model")]
        gains = {
            metric: min(np.mean([paired(each, baseline, metric).mean() for _, each in kinds]) for kinds in by_model)
            for metric in METRICS
        }
        found[key] = Point(group[0]["cost"], gains)
    return found
