"""EmerDiff against the bilinear baseline on held-out scenes with known labels, over a sweep of K and lambda.

The baseline is the paper's: features read plainly, their coarse masks enlarged bilinearly.

Every scene's scores are appended to a file as they come, so an interrupted run goes on where it stopped. Ends with
a table (mean and standard error, and the paired gain over the baseline) and a picture of the first scenes.
"""

import argparse
import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import reading_of
from torch import Tensor

from measure.log import Row, mean_and_error
from measure.metrics import CALLED, bilinear_labels, scores
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import markdown
from show.sheet import Panel, colorized, enlarged, sheet, to_image
from small_model.scenes import scene
from small_model.settings import SEGMENTS, STRENGTH

SIDE = 200  # pixels of a picture in the figure
METRICS = {name: called for name, called in CALLED.items() if name != "ari_parts"}


class Setting(NamedTuple):
    preset: str
    segments: int
    strength: float
    normalize: int
    precision: str


def main() -> None:
    study = Study("evaluate", __doc__, Scenes())
    add_arguments(study.parser)
    options = study.options
    swept = (options.preset, options.segments, options.strength, options.normalize, [options.precision])
    settings = [Setting(*values) for values in itertools.product(*swept)]
    seeds = range(options.first, options.first + options.scenes)

    def of_these(rows: list[Row], title: str) -> str:
        return table([row for row in rows if row["seed"] in seeds and setting_of(row) in settings], title)

    study.measure(evaluate_scene, of_these, settings, setting_of)
    with torch.inference_mode():
        picture(study.pipeline, options, settings[0])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", nargs="+", default=["paper"])
    parser.add_argument("--segments", type=int, nargs="+", default=[SEGMENTS], help="values of K")
    parser.add_argument("--strength", type=float, nargs="+", default=[STRENGTH], help="values of lambda")
    parser.add_argument("--normalize", type=int, nargs="+", default=[0, 1], help="divide each map by its maximum: 0, 1")
    parser.add_argument("--pictures", type=int, default=6, help="scenes shown in the picture")


def setting_of(row: Row) -> Setting:
    return Setting(*(row[name] for name in Setting._fields))


def evaluate_scene(pipeline: Pipeline, seed: int, settings: list[Setting]) -> list[Row]:
    """Scores of the baseline and of EmerDiff on one scene, a row per setting."""
    true, rows = scene(seed, pipeline.bed.size).labels, list[Row]()
    for setting, masks, ours in segmented(pipeline, seed, settings):
        figures = {"emerdiff": scores(ours, true), "baseline": scores(bilinear_labels(masks, true.shape), true)}
        rows.append({**setting._asdict(), **figures})
    return rows


def segmented(pipeline: Pipeline, seed: int, settings: list[Setting]) -> Iterator[tuple[Setting, Tensor, np.ndarray]]:
    """The coarse masks [K, h, w] of the baseline and EmerDiff's labels [H, W]; what settings share is computed once."""
    image = scene(seed, pipeline.bed.size).image
    read = functools.cache(lambda reading: pipeline.features(image, seed, reading=reading))
    clusters = functools.cache(lambda preset, count: cluster_features(read(reading_of(preset))[0], count))
    trajectory = read(reading_of("paper"))[1]
    maps = functools.cache(
        lambda preset, count, strength: pipeline.maps(image, trajectory, clusters(preset, count), preset, strength)
    )
    for setting in settings:
        labels = pipeline.labels(maps(*setting[:3]), bool(setting.normalize))
        yield setting, clusters("paper", setting.segments).masks[0], labels


def table(rows: list[Row], title: str) -> str:
    """Per setting the baseline, EmerDiff and the paired gain, each mean +- standard error."""
    lines = []
    for setting, same in itertools.groupby(sorted(rows, key=setting_of), key=setting_of):
        group = list(same)
        what = setting.preset, setting.segments, f"{setting.strength:g}", "normalized" if setting.normalize else ""
        for metric, name in METRICS.items():
            ours = np.array([row["emerdiff"][metric] for row in group])
            base = np.array([row["baseline"][metric] for row in group])
            cells = [mean_and_error(base), mean_and_error(ours), mean_and_error(ours - base, "+")]
            lines.append([*what, setting.precision, len(group), name, *cells])
    heads = ["preset", "K", "lambda", "maps", "precision", "count", "metric", "bilinear baseline", "EmerDiff"]
    title = f"{title}; mean +- standard error; gain = EmerDiff less baseline, scene by scene."
    return markdown(title, [*heads, "gain"], lines)


def picture(pipeline: Pipeline, options: argparse.Namespace, setting: Setting) -> None:
    """Scene, true regions, coarse masks, baseline and EmerDiff side by side, a row a scene, as figure.png."""
    rows = []
    for seed in range(options.first, options.first + options.pictures):
        true, ((_, masks, ours),) = scene(seed, pipeline.bed.size), segmented(pipeline, seed, [setting])
        coarse, baseline = (bilinear_labels(masks, size) for size in (masks.shape[1:], true.labels.shape))
        labels = {"true regions": true.labels, "coarse masks": coarse, "bilinear baseline": baseline, "EmerDiff": ours}
        images = {"scene": to_image(true.image)} | {name: colorized(each) for name, each in labels.items()}
        rows.append([Panel(name, enlarged(image, SIDE)) for name, image in images.items()])
    sheet(rows, SIDE).save(options.output / "figure.png", optimize=True)
