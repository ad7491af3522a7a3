"""How many segments a picture is given, and which: normalized cuts beside k-means with several ways to a number.

Drafts (coarse masks along the picture's borders) on pictures of four kinds: ARI of the segments as they are, and the
IoU of the best single segment with each true region, which is what one click can get. `--half reporting` for pictures
that no choice was made on. Every picture's scores are appended to demo_output/counts/MODEL HALF.jsonl, so an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import silhouette_score
from torch.nn.functional import normalize

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, publish, read
from measure.metrics import iou
from measure.pictures import KINDS, Pictured, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision
from small_model.photographs import FOLDER, HALVES

start_host()
load_pack()

from emerdiff.emerdiff_ops.cuts import POWER
from emerdiff.emerdiff_ops.kmeans import KMeans, kmeans
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.values import Features, LowResMasks

from measure import beds
from measure.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "counts"
PAGE = ROOT / "docs" / "robustness.md"
MOST = 32  # segments that the ways by k-means try
CUTS = (0.2, 0.3, 0.4, 0.5)  # granularity
FIXED = (6, 8, 14, 20)
SHOWN = ("segments", "ARI, segments as they are", "IoU of the best single segment")


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    bed = beds.chosen(options)
    log = OUTPUT / f"{bed.name} {options.half}.jsonl"
    with torch.inference_mode():
        pipeline = Pipeline(PRECISIONS[fastest_precision()], bed)
        measure_missing_pictures(log, options, bed.size, lambda seen, _: measured(pipeline, seen))
    report = table(read(log), f"{bed.name}, pictures of the {options.half} half")
    log.with_suffix(".md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--half", choices=HALVES, default="reporting")
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--count", type=int, default=10, help="pictures of every kind")
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured) -> list[Row]:
    """Every way's draft of one picture; ways that come to the same segments are measured once."""
    features, trajectory = pipeline.features(seen.image, 0, reading=ROBUST)
    known: dict[bytes, Row] = {}

    def scored(low_res: LowResMasks) -> Row:
        key = low_res.masks.numpy().tobytes()
        if key not in known:
            maps = pipeline.maps(seen.image, trajectory, low_res, "draft")
            labels = assemble_masks(maps, image=torch.from_numpy(seen.image)[None]).labels[0].numpy()
            known[key] = of_labels(seen, labels)
        return known[key]

    by_cuts = {f"normalized cuts, {each}": cluster_features(features, 0, granularity=each) for each in CUTS}
    by_number = {f"k-means, {name}": of_number(features, number) for name, number in numbers(features).items()}
    return [{"case": name, **scored(masks)} for name, masks in (by_cuts | by_number).items()]


def of_labels(seen: Pictured, labels: np.ndarray) -> Row:
    best = np.mean([best_single(labels, truth, seen.zero_is_unknown) for truth in seen.truths])
    return dict(zip(SHOWN, (len(np.unique(labels)), seen.scores(labels)["ari_parts"], float(best))))


def best_single(labels: np.ndarray, truth: np.ndarray, zero_is_unknown: bool) -> float:
    """Mean over the true regions of the IoU of the segment that is most like each, where the truth is known."""
    inside = truth != 0 if zero_is_unknown else np.ones(truth.shape, bool)
    ours, true = labels[inside], truth[inside]
    return float(np.mean([max(iou(ours == n, true == region) for n in np.unique(ours)) for region in np.unique(true)]))


# --- ways to a number of segments ---


def of_number(features: Features, number: int) -> LowResMasks:
    return cluster_features(features, number, restarts=3)


def numbers(features: Features) -> dict[str, int]:
    """How many segments each way gives a picture: fixed numbers, criteria on k-means, the eigengap."""
    points = features.features[0].flatten(0, 1).float()
    most = min(MOST, len(points.unique(dim=0)))
    runs = {k: kmeans(points, k, torch.Generator().manual_seed(0), restarts=3) for k in range(1, most + 1)}
    left = np.array([runs[k].inertia for k in runs]) / runs[1].inertia
    return {
        **{str(number): min(number, most) for number in FIXED},
        "until one more explains less than 4%": first(-np.diff(left) < 0.04, most),
        "until half of the variance is explained": first(left <= 0.5, most),
        "best silhouette": best_silhouette(points, runs),
        "eigengap": eigengap(points, most),
    }


def first(reached: np.ndarray, most: int) -> int:
    """The number of segments at which something is reached, whose first entry is of one."""
    return int(reached.argmax()) + 1 if reached.any() else most


def best_silhouette(points: torch.Tensor, runs: dict[int, KMeans]) -> int:
    possible = [number for number in runs if 1 < number < len(points)]
    return possible[int(np.argmax([silhouette_score(points.numpy(), runs[each].labels.numpy()) for each in possible]))]


def eigengap(points: torch.Tensor, most: int) -> int:
    """Behind which eigenvalue of the affinity that is cut, normalized, the next lies farthest: two or more."""
    unit = normalize(points - points.mean(0), dim=1)
    affinity = (unit @ unit.T).clamp_min(0).pow(POWER)
    scale = affinity.sum(1).clamp_min(1e-12).rsqrt()
    values = torch.linalg.eigvalsh(affinity * scale * scale[:, None]).flip(0)[: most + 1]
    return 2 + int((values[:-1] - values[1:])[1:].argmax())


def table(rows: list[Row], what: str) -> str:
    """A line per kind and way: mean +- standard error over the pictures."""
    lines = [f"{what}; mean +- standard error.", "", f"| pictures | way | {' | '.join(SHOWN)} |", "|---" * 5 + "|"]
    for kind, case in dict.fromkeys((row["kind"], row["case"]) for row in sorted(rows, key=lambda row: row["kind"])):
        group = [row for row in rows if (row["kind"], row["case"]) == (kind, case)]
        cells = [mean_and_error(np.array([row[name] for row in group])) for name in SHOWN]
        lines.append(f"| {kind}, {len(group)} | {case} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
