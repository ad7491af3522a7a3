"""Segments of moving scenes: the ways to give their numbers one meaning in all frames, and the memory of a long video.

  --part ways    drafts of clips whose true regions are known in every frame, clustered in each way
  --part memory  200 frames from their features to a finished segmentation, and what that holds at most

With a small model, or with --checkpoint FILE of Stable Diffusion. Nothing was chosen on the clips of either half.
Scores are appended to demo_output/video/MODEL HALF.jsonl, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans

from comfyui.in_process import load_pack, start_host
from measure.consistency import clip_scores
from measure.log import Row, mean_and_error, measure_missing, publish, read
from measure.pictures import FIRST
from measure.timing import PRECISIONS, fastest_precision, peak, reset_peak
from small_model.clips import FRAMES, clip

start_host()
load_pack()

from emerdiff.emerdiff_ops.kmeans import kmeans, one_hot
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.extract_features import EmerDiffExtractFeatures
from emerdiff.nodes.modulate_and_assemble import EmerDiffModulateAndAssemble
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import Features, LowResMasks, Source

from measure import beds

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "video"
PAGE = ROOT / "docs" / "evaluation.md"
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


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    bed = beds.chosen(options)
    with torch.inference_mode():
        for part in options.part:
            name, report = PARTS[part](bed, options)
            (OUTPUT / f"{name}.md").write_text(report)
            print(report, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--half", choices=FIRST, default="reporting")
    parser.add_argument("--count", type=int, default=10, help="clips")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of a clip")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="pixels of the long video's frames")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no clip after so many; run again to go on")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    return parser.parse_args()


# --- the ways, and what they come to


def ways(bed: beds.Bed, options: argparse.Namespace) -> tuple[str, str]:
    """The table of all ways on the clips of a half."""
    log = OUTPUT / f"{bed.name} {options.half}.jsonl"
    source, first = bed.source(PRECISIONS[fastest_precision()]), FIRST[options.half]
    seeds, wanted = range(first, first + options.count), of_number(bed.segments) | BY_CUTS
    measure = partial(measured, source, bed, wanted, options.frames)
    measure_missing(log, seeds, measure, wanted, lambda row: row["way"], options.minutes)
    return log.stem, table(read(log), f"{bed.name}, {options.half} clips of {options.frames} frames")


def measured(
    source: Source, bed: beds.Bed, known: dict[str, Callable], frames: int, seed: int, names: list
) -> list[Row]:
    """Scores of a clip's drafts, by each of these ways; the features are read once for all."""
    made = clip(seed, frames, bed.size)
    images, begin = torch.from_numpy(made.images), time.process_time()
    features, trajectory = extract_features(source, images, 0, bed.size, reading=ROBUST)
    reading, rows = time.process_time() - begin, []
    for name in names:
        begin = time.process_time()
        labels = segment_pictures(source, images, trajectory, known[name](features), PRESET).labels.numpy()
        seconds = (reading + time.process_time() - begin) / frames
        rows.append({"way": name, **clip_scores(labels, made.labels), "seconds": seconds})
    return rows


def of_number(segments: int) -> dict[str, Callable[[Features], LowResMasks]]:
    """The ways to so many clusters."""
    return {
        "each frame alone": partial(cluster_features, segments=segments),
        SHARED: partial(cluster_features, segments=segments, shared_clusters=True),
        "carried from frame to frame": partial(carried, segments=segments),
        "as in the first frame": partial(as_in, (0,), segments=segments),
        "as in three frames": partial(as_in, (0, 1 / 2, 1), segments=segments),
    }


def as_in(places: tuple[float, ...], features: Features, segments: int) -> LowResMasks:
    """The clusters of the frames at these places of the clip, 0 to 1, as the reference of all."""
    chosen = [round(place * (len(features.features) - 1)) for place in places]
    return cluster_features(features, segments, reference=features._replace(features=features.features[chosen]))


BY_CUTS = {
    "each frame alone, 0 segments": partial(cluster_features, segments=0),
    "all frames together, 0 segments": partial(cluster_features, segments=0, shared_clusters=True),
    "as in the first frame, 0 segments": partial(as_in, (0,), segments=0),
    "as in three frames, 0 segments": partial(as_in, (0, 1 / 2, 1), segments=0),
}


def carried(features: Features, segments: int) -> LowResMasks:
    """Every frame clustered from the centroids of the frame before it."""
    frames = features.features.flatten(1, 2).float()  # [N, h*w, C]
    first = kmeans(frames[0], segments, torch.Generator().manual_seed(0))
    labels, centroids = [first.labels], first.centroids.numpy()
    for frame in frames[1:]:
        found = KMeans(segments, init=centroids, n_init=1).fit(frame.numpy())
        labels.append(torch.from_numpy(found.labels_).long())
        centroids = found.cluster_centers_
    maps = torch.stack(labels).reshape(features.features.shape[:3])
    return LowResMasks(one_hot(maps, segments), features.latent_size)


def table(rows: list[Row], what: str) -> str:
    """A line per way: mean +- standard error over the clips; then what it has more than all frames together."""
    by_way = {way: [row for row in rows if row["way"] == way] for way in dict.fromkeys(row["way"] for row in rows)}
    of_shared = {row["seed"]: row for row in by_way[SHARED]}
    head = f"| way | {' | '.join(COLUMNS.values())} |\n" + "|---" * (1 + len(COLUMNS)) + "|"
    means, gains = [], []
    for way, group in by_way.items():
        pairs = [(row, of_shared[row["seed"]]) for row in group if row["seed"] in of_shared]
        own = [mean_and_error(np.array([row[name] for row in group])) for name in COLUMNS]
        more = [mean_and_error(np.array([row[name] - other[name] for row, other in pairs]), "+") for name in COLUMNS]
        means.append(f"| {way} | {' | '.join(own)} |")
        gains.append(f"| {way} | {' | '.join(more)} |")
    count = len(of_shared)
    between = f"More than *{SHARED}*, clip by clip:"
    return (
        "\n".join([f"{count} {what}; mean +- standard error.", "", head, *means, "", between, "", head, *gains]) + "\n"
    )


# --- a long video


def memory(bed: beds.Bed, options: argparse.Namespace) -> tuple[str, str]:
    """What 200 frames of each size hold at most above the start, the pictures themselves counted in."""
    source = bed.source(PRECISIONS[fastest_precision()])
    lines = [f"{LONG} frames, preset `{PRESET}`, no masks made; {bed.name} at its own {bed.size or 512} px.", ""]
    lines += [
        "| frames of | way | GB above the start | of which the pictures | the coloured labels |",
        "|---" * 5 + "|",
    ]
    long_video(source, bed, 64, "shared", 2)  # what is loaded once for all
    for side in options.sides:
        for way in ("shared", "reference"):
            above, pictures, coloured = long_video(source, bed, side, way)
            lines.append(f"| {side} px | {way} | {above:.2f} | {pictures:.2f} | {coloured:.2f} |")
            print(lines[-1], flush=True)
    return f"{bed.name} memory", "\n".join(lines) + "\n"


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

if __name__ == "__main__":
    main()
