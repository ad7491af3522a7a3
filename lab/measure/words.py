"""How well a word finds the segments of the object it names, against baselines that do not read it.

On any small model; a second table says at how many places of a scene its own words are right. Every scene's figures are
appended to demo_output/text/MODEL.jsonl as they come, so an interrupted run goes on where it stopped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.text_scores import SIGNS
from emerdiff.nodes.host import network
from emerdiff.nodes.steps.score_text import GOCA, Asked, Reader, scores_of, segment_signs, signs_of
from emerdiff.nodes.steps.values import Segmentation

from measure.log import Row
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import means
from small_model.scenes import Scene, scene

METRICS = {"top": "best segment in the object", "iou": "IoU of the n best", "ap": "average precision"}
PLACES = {"every": "of all places", "objects": "of the objects' places", "words": "mean over the words"}
BACKGROUNDS = 2  # the first of a scene's words, sky and ground


class Task(NamedTuple):
    """An object of a scene: its word, its pixels [H, W], and which segments lie mostly in it [K]."""

    word: str
    pixels: np.ndarray
    own: np.ndarray


class Way(NamedTuple):
    """What one way to read words found for all words of a scene: scores [P, K]; where it shows them [P, h, w]."""

    scores: np.ndarray
    maps: torch.Tensor | None = None


def main() -> None:
    study = Study("text", __doc__, Scenes())
    study.measure(measured, table)


def measured(pipeline: Pipeline, seed: int, _) -> list[Row]:
    true = scene(seed, pipeline.bed.size)
    preset = "fast" if pipeline.bed.pushes else "draft"
    segmentation = pipeline.segmented(true.image, preset, seed=seed).segmentation
    tasks, ways = list(tasks_of(true, segmentation)), ways_of(pipeline, true, segmentation, seed)
    return [
        {
            "objects": len(tasks),
            "of": len(true.words) - BACKGROUNDS,
            "figures": figures_of_scene(segmentation, true, ways, tasks, seed) if tasks else {},
            "places": figures_of_places(true, ways),
        }
    ]


def tasks_of(true: Scene, segmentation: Segmentation) -> Iterator[Task]:
    """The objects that have a segment of their own: more than half of it lies inside."""
    labels = segmentation.labels[0].long().numpy()
    sizes = np.bincount(labels.ravel(), minlength=segmentation.count)
    for number, word in list(enumerate(true.words))[BACKGROUNDS:]:
        pixels = true.labels == number
        own = np.bincount(labels[pixels], minlength=segmentation.count) > 0.5 * sizes
        if own.any():
            yield Task(word, pixels, own)


def ways_of(pipeline: Pipeline, true: Scene, segmentation: Segmentation, seed: int) -> dict[str, Way]:
    """Every way of the bed's kind of model to read the scene's words, which compete where a way lets words compete."""
    model, vae, _ = pipeline.source
    reader, image = Reader(model, pipeline.bed.load_clip(), vae), torch.from_numpy(true.image)[None]
    asked = Asked(", ".join(true.words), seed, GOCA, counter_words="")
    together = signs_of(reader, segmentation, image, asked)
    shares = Way(scores_of(together, segmentation, GOCA)[0].numpy(), together.maps[0])
    if not network.of(model).lifts:
        return {"concepts": shares}
    signs = segment_signs(reader, segmentation, image, list(true.words), seed)
    by_signs = {by: Way(scores_of(signs, segmentation, by)[0].numpy()) for by in SIGNS}
    return {**by_signs, "attention": by_signs["attention"]._replace(maps=signs.maps[0]), GOCA: shares}


# --- segments ---


def figures_of_scene(
    segmentation: Segmentation, true: Scene, ways: dict[str, Way], tasks: list[Task], seed: int
) -> dict[str, dict]:
    """Means over the objects of a scene: the node by each way, and what does not read the word."""
    words, figures = true.words[BACKGROUNDS:], {}
    for by, way in ways.items():
        scores = way.scores[BACKGROUNDS:]
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


# --- places ---


def figures_of_places(true: Scene, ways: dict[str, Way]) -> dict[str, dict]:
    """At how many places the right one of the scene's words fits best; beside it, what no word has a part in."""
    figures = {}
    for by, way in ways.items():
        if way.maps is None:
            continue
        shown, named = way.maps.argmax(0).numpy(), most_frequent(true.labels, way.maps.shape[1:])
        figures[f"the node, by {by}"] = right_words(shown, named)
        figures[f"the node, by {by}, another word of the scene"] = right_words((shown + 1) % len(true.words), named)
        figures["the word of most places, everywhere"] = right_words(np.bincount(named.ravel()).argmax(), named)
    return figures


def most_frequent(labels: np.ndarray, cells: Sequence[int]) -> np.ndarray:
    """The most frequent of the labels [H, W] in each cell of a grid that divides them, [h, w]."""
    h, w = cells
    inside = labels.reshape(h, labels.shape[0] // h, w, labels.shape[1] // w).swapaxes(1, 2).reshape(h, w, -1)
    return (inside[..., None] == np.arange(labels.max() + 1)).sum(2).argmax(-1)


def right_words(shown: np.ndarray | np.integer, named: np.ndarray) -> dict[str, float]:
    """Shares of the places [h, w] where the number of the word that is shown is that of the word that is right."""
    right = shown == named
    return {
        "every": float(right.mean()),
        "objects": float(right[named >= BACKGROUNDS].mean()),
        "words": float(np.mean([right[named == word].mean() for word in np.unique(named)])),
    }


def table(rows: list[Row], title: str) -> str:
    """A line each way to score: mean over the scenes; and a line each way that shows places."""
    scored = [row for row in rows if row["objects"]]
    objects, every = (sum(row[name] for row in rows) for name in ("objects", "of"))
    of_segments = (
        f"{title}: {objects} of {every} objects, in {len(rows)} scenes, have a segment of their own (more than half of "
        f"it inside), and are in {len(scored)} scenes"
    )
    chance = np.mean([1 / (row["of"] + BACKGROUNDS) for row in rows])
    of_places = f"Where the right one of a scene's words fits best; by chance at {chance:.3f} of the places"
    tables = ("figures", of_segments, METRICS), ("places", of_places, PLACES)
    return "\n".join(means(lines_of(rows, part), said, ("score",), metrics) for part, said, metrics in tables)


def lines_of(rows: list[Row], part: str) -> list[Row]:
    return [{"seed": row["seed"], "score": name, **each} for row in rows for name, each in row[part].items()]
