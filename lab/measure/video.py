"""Segments of moving scenes: the ways to give their numbers one meaning in all frames, and the memory of a long video.

  --part ways    drafts of clips whose true regions are known in every frame, clustered in each way
  --part memory  200 frames from their features to a finished segmentation, and what that holds at most

With a small model, or with --checkpoint FILE of Stable Diffusion. Nothing was chosen on the clips of either half.
Scores are appended to demo_output/video/MODEL HALF.jsonl, so an interrupted run goes on where it stopped.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import torch
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.extract_features import EmerDiffExtractFeatures
from emerdiff.nodes.modulate_and_assemble import EmerDiffModulateAndAssemble
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import Features, LowResMasks, Source

from measure import beds
from measure.consistency import clip_scores
from measure.log import Row, mean_and_error
from measure.pictures import FIRST
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import grouped, markdown, means, paired
from measure.timing import peak, reset_peak
from small_model.clips import FRAMES, Clip, clip

PRESET = "draft"
SHARED = "all frames together"  # the way that the others are compared with
COLUMNS = {
    "mvc8": "mVC8",
    "mvc16": "mVC16",
    "flicker": "flicker",
    "miou": "mIoU over the clip",
    "f2": "boundary F, 2 px",
    "picked": "IoU of what is picked in the first frame",
    "seconds": "processor seconds a frame",
}
LONG = 200  # frames
SIDES = (128, 256, 512)  # pixels


class Clips(NamedTuple):
    """Clips, by seed: a Study's material."""

    called: str = "clips"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--half", choices=FIRST, default="reporting")
        parser.add_argument("--count", type=int, default=10, help="clips")
        parser.add_argument("--frames", type=int, default=FRAMES, help="of a clip")

    def items(self, options: argparse.Namespace) -> Iterator[Row]:
        for number in range(options.count):
            yield {"seed": FIRST[options.half] + number}

    def load(self, item: Row, size: int, options: argparse.Namespace) -> Clip:
        return clip(item["seed"], options.frames, size)


def main() -> None:
    study = Study("video", __doc__, Clips())
    study.parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    study.parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="pixels of the long video's frames")
    for part in study.options.part:
        PARTS[part](study)


# --- the ways, and what they come to


def ways(study: Study) -> None:
    """The table of all ways on the clips of a half."""
    wanted = ways_to(study.bed.segments)
    wanted |= {f"{name}, 0 segments": way for name, way in ways_to(0).items()}
    study.measure(partial(measured, known=wanted), table, wanted, itemgetter("way"))


def measured(pipeline: Pipeline, made: Clip, names: list[str], known: dict[str, Callable]) -> list[Row]:
    """Scores of a clip's drafts, by each of these ways; the features are read once for all."""
    source, frames = pipeline.source, len(made.images)
    images, begin = torch.from_numpy(made.images), time.process_time()
    features, trajectory = extract_features(source, images, 0, pipeline.bed.size, reading=ROBUST)
    reading, rows = time.process_time() - begin, []
    for name in names:
        begin = time.process_time()
        labels = segment_pictures(source, images, trajectory, known[name](features), PRESET).labels.numpy()
        seconds = (reading + time.process_time() - begin) / frames
        rows.append({"way": name, **clip_scores(labels, made.labels), "seconds": seconds})
    return rows


def ways_to(segments: int) -> dict[str, Callable[[Features], LowResMasks]]:
    """The ways that the nodes have to so many clusters."""
    return {
        "each frame alone": partial(cluster_features, segments=segments),
        SHARED: partial(cluster_features, segments=segments, shared_clusters=True),
        "as in the first frame": partial(as_in_the_first, segments=segments),
    }


def as_in_the_first(features: Features, segments: int) -> LowResMasks:
    """The first frame's clusters as the reference of all."""
    return cluster_features(features, segments, reference=features._replace(features=features.features[:1]))


def table(rows: list[Row], title: str) -> str:
    """A line per way: mean +- standard error over the clips; then what it has more than all frames together."""
    shared = [row for row in rows if row["way"] == SHARED]
    gains = [
        [way, *(mean_and_error(paired(group, shared, figure), "+") for figure in COLUMNS)]
        for (way,), group in grouped(rows, "way")
    ]
    more = markdown(f"More than *{SHARED}*, clip by clip:", ["way", *COLUMNS.values()], gains)
    return f"{means(rows, title, ('way',), COLUMNS)}\n{more}"


# --- a long video


def memory(study: Study) -> None:
    """What 200 frames of each size hold at most above the start, the pictures themselves counted in."""
    source, bed, lines = study.pipeline.source, study.bed, []
    with torch.inference_mode():
        long_video(source, bed, 64, "shared", 2)  # what is loaded once for all
        for side, way in itertools.product(study.options.sides, ("shared", "reference")):
            lines.append([f"{side} px", way, *(f"{each:.2f}" for each in long_video(source, bed, side, way))])
            print(*lines[-1], flush=True)
    title = f"{LONG} frames, preset `{PRESET}`, no masks made; {bed.name} at its own {bed.size or 512} px."
    heads = ["frames of", "way", "GB above the start", "of which the pictures", "the coloured labels"]
    study.report(markdown(title, heads, lines), "memory")


def long_video(source: Source, bed: beds.Bed, side: int, way: str, frames: int = LONG) -> tuple[float, float, float]:
    """GB at most above the start, of the pictures, and of the label image, through the nodes of Segment Image."""
    before = reset_peak()
    images = torch.from_numpy(clip(FIRST["tuning"], frames, side).images)
    features, trajectory = EmerDiffExtractFeatures.execute(*source, images, 0, resolution=bed.size).result
    reference = features._replace(features=features.features[:1]) if way == "reference" else None
    clustered = EmerDiffClusterFeatures.execute(features, bed.segments, 0, reference is None, reference=reference)
    last = EmerDiffModulateAndAssemble.execute(
        *source, images, trajectory, clustered.result[0], PRESET, make_masks=False
    )
    return (peak() - before) / 1e9, images.nbytes / 1e9, last.result[2].nbytes / 1e9


PARTS = {"ways": ways, "memory": memory}
