"""How well a word finds the segments of the object it names, against baselines that do not read it.

Every scene's figures are appended to a file as they come, so an interrupted run goes on where it stopped.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.labels import segment_areas
from emerdiff.emerdiff_ops.text_scores import SIGNS, text_scores
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.score_text import GOCA, Asked, Reader, scores_of, segment_signs, signs_of
from emerdiff.nodes.steps.values import Segmentation

from measure.beds import SMALL_MODEL
from measure.log import Row
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import means
from small_model.model import load_clip
from small_model.scenes import Scene, scene
from small_model.settings import NORMALIZE, SEGMENTS

METRICS = {"top": "best segment in the object", "iou": "IoU of the n best", "ap": "average precision"}


class Task(NamedTuple):
    """An object of a scene: its word, its pixels [H, W], and which segments lie mostly in it [K]."""

    word: str
    pixels: np.ndarray
    own: np.ndarray


def main() -> None:
    study = Study("text", __doc__, Scenes(), model=SMALL_MODEL)
    study.measure(measured, table)


def measured(pipeline: Pipeline, seed: int, _) -> list[Row]:
    true = scene(seed)
    segmentation = segmented(pipeline, true, seed)
    tasks = list(tasks_of(true, segmentation))
    figures = figures_of_scene(pipeline, true, segmentation, tasks, seed) if tasks else {}
    return [{"objects": len(tasks), "of": len(true.words) - 2, "figures": figures}]


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


def figures_of_scene(pipeline: Pipeline, true: Scene, segmentation: Segmentation, tasks: list[Task], seed: int) -> dict:
    """Means over the objects of a scene: the node by each kind of sign, and what does not read the word."""
    reader = Reader(pipeline.source.model, load_clip(), pipeline.source.vae)
    words, image = list(true.words[2:]), torch.from_numpy(true.image)[None]
    attention, prediction, *_ = segment_signs(reader, segmentation, image, words, seed)
    assert prediction is not None  # a UNet has one
    area = segment_areas(segmentation.labels, segmentation.count)[0]
    figures = {}
    by_signs = {by: text_scores(attention[0], prediction[0], area, by).numpy() for by in SIGNS}
    for by, scores in {**by_signs, GOCA: by_goca(reader, segmentation, image, true, seed)}.items():
        figures[f"the node, by {by}"] = mean_figures(segmentation, tasks, dict(zip(words, scores)))
        others = dict(zip(words, np.roll(scores, 1, 0)))
        figures[f"the node, by {by}, another object's word"] = mean_figures(segmentation, tasks, others)
    for name, scores in unread(segmentation, seed).items():
        figures[name] = mean_figures(segmentation, tasks, dict.fromkeys(words, scores))
    return figures


def by_goca(reader: Reader, segmentation: Segmentation, image: torch.Tensor, true: Scene, seed: int) -> np.ndarray:
    """Scores [P, K] of the objects' words by GoCA, with the scene's other words as counter-words."""
    asked = Asked(", ".join(true.words[2:]), seed, GOCA, ", ".join(true.words[:2]))
    signs = signs_of(reader._replace(clip=WithoutCommas(reader.clip)), segmentation, image, asked)
    return scores_of(signs, segmentation, GOCA)[0].numpy()


class WithoutCommas:
    """A small model's words, which are separated by spaces alone."""

    def __init__(self, clip):
        self.clip, self.encode_from_tokens_scheduled = clip, clip.encode_from_tokens_scheduled

    def tokenize(self, text: str, **options) -> dict:
        return self.clip.tokenize(text.replace(",", " "), **options)


def unread(segmentation: Segmentation, seed: int) -> dict[str, np.ndarray]:
    """Scores [K] that no word has a part in."""
    labels, count = segmentation.labels[0].long().numpy(), segmentation.count
    sizes = np.bincount(labels.ravel(), minlength=count)
    y, x = (np.mgrid[0 : labels.shape[0], 0 : labels.shape[1]] + 0.5) / labels.shape[0] - 0.5
    distances = np.bincount(labels.ravel(), np.hypot(x, y).ravel(), count) / np.maximum(sizes, 1)
    scores = {"random": np.random.default_rng(seed).random(count), "largest": sizes, "most central": -distances}
    return {name: np.where(sizes > 0, each, -np.inf) for name, each in scores.items()}


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


def table(rows: list[Row], title: str) -> str:
    """A line each way to score: mean over the scenes."""
    scored = [row for row in rows if row["objects"]]
    objects, every = (sum(row[name] for row in rows) for name in ("objects", "of"))
    title = (
        f"{title}: {objects} of {every} objects, in {len(rows)} scenes, have a segment of their own (more than half of "
        f"it inside), and are in {len(scored)} scenes"
    )
    lines = [{"seed": row["seed"], "score": name, **each} for row in scored for name, each in row["figures"].items()]
    return means(lines, title, ("score",), METRICS)
