"""How well a word finds the segments of the object it names, against baselines that do not read it.

Every scene's figures are appended to a file as they come, so an interrupted run goes on where it stopped.

  report   python3 lab/run.py text
  choice   python3 lab/run.py text --part choice    timesteps, layers and signs, on other scenes
  page     python3 lab/run.py text --publish        both tables into docs/selecting_by_text.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, measure_missing, publish, read
from measure.timing import PRECISIONS, fastest_precision
from small_model.scenes import HELD_OUT, Scene, scene
from small_model.settings import NORMALIZE, SEGMENTS

start_host()
load_pack()

from emerdiff.emerdiff_ops.grid import grid_over
from emerdiff.emerdiff_ops.segments.labels import segment_areas
from emerdiff.emerdiff_ops.text_scores import SIGNS, area_weights, attention_sign, prediction_sign, text_scores
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.clip import conditioning_of, words_of
from emerdiff.nodes.host.latents import working_pixels
from emerdiff.nodes.host.progress import Progress
from emerdiff.nodes.host.unet import Layer
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.checks import check_image
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, latents_of
from emerdiff.nodes.steps.score_text import Reader, Respondent, segment_signs
from emerdiff.nodes.steps.values import Segmentation

from measure.pipeline import Pipeline
from small_model.model import load_clip

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "text"
PAGE = ROOT / "docs" / "selecting_by_text.md"
TUNING = 20_000_000  # seed of the first scene that choices are made on
FIRST = {"report": HELD_OUT, "choice": TUNING}
METRICS = {"top": "best segment in the object", "iou": "IoU of the n best", "ap": "average precision"}
LEVELS = (101, 301, 501, 601, 701, 801, 901)
LEVEL_SETS = [*((level,) for level in LEVELS), (101, 301, 501), (501, 601, 701), (601, 701, 801, 901), LEVELS]
TUNING_DRAWS = 2


class Task(NamedTuple):
    """An object of a scene: its word, its pixels [H, W], and which segments lie mostly in it [K]."""

    word: str
    pixels: np.ndarray
    own: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=FIRST, default="report")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no scene after that long")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, options.output)
        return
    log, seeds = (
        options.output / f"{options.part}.jsonl",
        range(FIRST[options.part], FIRST[options.part] + options.scenes),
    )
    with torch.inference_mode():
        pipeline = Pipeline(PRECISIONS[fastest_precision()])
        measure = {"report": report_scene, "choice": choice_scene}[options.part]
        measure_missing(log, seeds, lambda seed, _: [scene_row(pipeline, measure, seed)], minutes=options.minutes)
    report = table(read(log))
    (options.output / f"{options.part}.md").write_text(report)
    print(report)


def scene_row(pipeline: Pipeline, measure, seed: int) -> Row:
    true = scene(seed)
    segmentation = segmented(pipeline, true, seed)
    tasks = list(tasks_of(true, segmentation))
    figures = measure(pipeline, true, segmentation, tasks, seed) if tasks else {}
    return {"objects": len(tasks), "of": len(true.words) - 2, "figures": figures}


def segmented(pipeline: Pipeline, true: Scene, seed: int) -> Segmentation:
    features, trajectory = pipeline.features(true.image, seed, reading=ROBUST)
    maps = pipeline.maps(true.image, trajectory, cluster_features(features, SEGMENTS), "fast")
    return assemble_masks(maps, normalize=NORMALIZE)


def tasks_of(true: Scene, segmentation: Segmentation) -> Iterator[Task]:
    """The objects that have a segment of their own: more than half of it lies inside."""
    labels = segmentation.labels[0].long().numpy()
    sizes = np.bincount(labels.ravel(), minlength=segmentation.count)
    for number, word in list(enumerate(true.words))[2:]:
        pixels = true.labels == number
        own = np.bincount(labels[pixels], minlength=segmentation.count) > 0.5 * sizes
        if own.any():
            yield Task(word, pixels, own)


def report_scene(pipeline: Pipeline, true: Scene, segmentation: Segmentation, tasks: list[Task], seed: int) -> dict:
    """Means over the objects of a scene: the node by each kind of sign, and what does not read the word."""
    reader = Reader(pipeline.source.model, load_clip(), pipeline.source.vae)
    words, image = list(true.words[2:]), torch.from_numpy(true.image)[None]
    attention, prediction = segment_signs(reader, segmentation, image, words, seed)
    area = segment_areas(segmentation.labels, segmentation.count)[0]
    figures = {}
    for by in SIGNS:
        scores = text_scores(attention[0], prediction[0], area, by).numpy()
        figures[f"the node, by {by}"] = mean_figures(segmentation, tasks, dict(zip(words, scores)))
        others = dict(zip(words, np.roll(scores, 1, 0)))
        figures[f"the node, by {by}, another object's word"] = mean_figures(segmentation, tasks, others)
    for name, scores in unread(segmentation, seed).items():
        figures[name] = mean_figures(segmentation, tasks, dict.fromkeys(words, scores))
    return figures


def unread(segmentation: Segmentation, seed: int) -> dict[str, np.ndarray]:
    """Scores [K] that no word has a part in."""
    labels, count = segmentation.labels[0].long().numpy(), segmentation.count
    sizes = np.bincount(labels.ravel(), minlength=count)
    y, x = (np.mgrid[0 : labels.shape[0], 0 : labels.shape[1]] + 0.5) / labels.shape[0] - 0.5
    distances = np.bincount(labels.ravel(), np.hypot(x, y).ravel(), count) / np.maximum(sizes, 1)
    scores = {"random": np.random.default_rng(seed).random(count), "largest": sizes, "most central": -distances}
    return {name: np.where(sizes > 0, each, -np.inf) for name, each in scores.items()}


def choice_scene(pipeline: Pipeline, true: Scene, segmentation: Segmentation, tasks: list[Task], seed: int) -> dict:
    """Means over the objects of a scene, for every set of timesteps and layers and every kind of sign."""
    figures = {}
    for name, layers in layer_sets(pipeline.source.model).items():
        attention, prediction = signs(pipeline, true, segmentation, tasks, layers, seed)  # [levels, P, K]
        area = segment_areas(segmentation.labels, segmentation.count)[0]
        for levels in LEVEL_SETS:
            picked = [LEVELS.index(level) for level in levels]
            for by in SIGNS if name == "output" else ("attention",):  # the prediction has no layers
                scores = text_scores(attention[picked].mean(0), prediction[picked].mean(0), area, by).numpy()
                named = dict(zip((task.word for task in tasks), scores))
                layer = "" if by == "prediction" else f", {name} layers"
                figures[f"{by}{layer}, t = {', '.join(map(str, levels))}"] = mean_figures(segmentation, tasks, named)
    return figures


def layer_sets(model) -> dict[str, list[Layer]]:
    """The layers on the finest grid with cross-attention by the side of the UNet they are on, and the middle's."""
    layers = unet.cross_attention_layers(model)
    finest = [layer for layer, halvings in layers.items() if halvings == min(layers.values())]
    sets = {block: [layer for layer in finest if layer.block == block] for block in ("output", "input")}
    return sets | {"middle": [layer for layer in layers if layer.block == "middle"]}


def signs(pipeline, true, segmentation, tasks, layers, seed) -> tuple[torch.Tensor, torch.Tensor]:
    """Both signs of every object's word at every level: [levels, P, K] each."""
    model, vae, _ = pipeline.source
    labels, clip, image = segmentation.labels[0], load_clip(), torch.from_numpy(true.image)[None]
    pixels = working_pixels(model, vae, check_image(image), 0, enlarge=False)
    latent, size = latents_of(model, vae, pixels), tuple(pixels.shape[-2:])
    noise = torch.randn(len(LEVELS), TUNING_DRAWS, *latent.shape[1:], generator=torch.Generator().manual_seed(seed))
    height, width = latent.shape[-2:]
    grids = [unet.grid_of(model, layers[0], (height, width)), (height, width)]
    pixels = [grid_over(cells, (height, width), size).of_segments(labels, segmentation.count) for cells in grids]
    weights = [area_weights(each) for each in pixels]
    progress = Progress()
    progress.expect("row", (1 + len(tasks)) * len(LEVELS) * TUNING_DRAWS, 1.0)
    respondent = Respondent(model, layers, LEVELS, noise, progress)

    def respond(phrase):
        groups = words_of(clip, tasks[0].word)[None]  # one word, the first, in every prompt
        return respondent.respond(conditioning_of(clip, phrase), groups, latent)

    (nothing, empty), others = respond(""), [respond(task.word) for task in tasks]
    levels = [[index] for index in range(len(LEVELS))]
    attention = [attention_sign(maps[0, i], nothing[0, i], weights[0]) for i in levels for maps, _ in others]
    prediction = [prediction_sign(error[i], empty[i], weights[1]) for i in levels for _, error in others]
    return tuple(torch.stack(each).unflatten(0, (-1, len(tasks))) for each in (attention, prediction))


def mean_figures(segmentation: Segmentation, tasks: list[Task], scores: dict[str, np.ndarray]) -> dict[str, float]:
    """`scores` holds the segments' scores [K] by the object's word."""
    labels = segmentation.labels[0].numpy()
    every = [figures_of(labels, task, scores[task.word]) for task in tasks]
    return {metric: float(np.mean([figures[metric] for figures in every])) for metric in METRICS}


def figures_of(labels: np.ndarray, task: Task, scores: np.ndarray) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")
    hits, wanted = task.own[order], int(task.own.sum())
    found = np.isin(labels, order[:wanted])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return {
        "top": float(hits[0]),
        "iou": float((found & task.pixels).sum() / (found | task.pixels).sum()),
        "ap": float(precision[hits].mean()),
    }


def table(rows: list[dict]) -> str:
    """Markdown: mean over the scenes +- standard error, a row each way to score."""
    scored = [row for row in rows if row["objects"]]
    lines = [
        f"{sum(row['objects'] for row in rows)} of {sum(row['of'] for row in rows)} objects, in {len(rows)} scenes, "
        f"have a segment of their own (more than half of it inside), and are in {len(scored)} scenes. "
        "Means over these scenes +- standard error.",
        "",
        f"| score | {' | '.join(METRICS.values())} |",
        "|---|" + "---|" * len(METRICS),
    ]
    for name in scored[0]["figures"]:
        values = [np.array([row["figures"][name][metric] for row in scored]) for metric in METRICS]
        lines.append(f"| {name} | {' | '.join(map(mean_and_error, values))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
