"""How many segments a picture is given, and which: normalized cuts beside k-means with fixed numbers.

Drafts (coarse masks along the picture's borders) on pictures of four kinds: ARI of the segments as they are, and the
IoU of the best single segment with each true region, which is what one click can get. `--half reporting` for pictures
that no choice was made on. Every picture's scores are appended to demo_output/counts/MODEL HALF.jsonl, so an
interrupted run goes on where it stopped.
"""

from operator import itemgetter

import numpy as np
import torch
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.values import Features, LowResMasks

from measure.log import Row
from measure.metrics import iou
from measure.pictures import Pictured, Pictures
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import means

CUTS = (0.2, 0.3, 0.4, 0.5)  # granularity
FIXED = (6, 8, 14, 20)
SHOWN = ("segments", "ARI, segments as they are", "IoU of the best single segment")


def main() -> None:
    Study("counts", __doc__, Pictures("reporting", 10)).measure(measured, table)


def measured(pipeline: Pipeline, seen: Pictured, _) -> list[Row]:
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
    by_number = {f"k-means, {name}": masks for name, masks in of_numbers(features).items()}
    return [{"case": name, **scored(masks)} for name, masks in (by_cuts | by_number).items()]


def of_labels(seen: Pictured, labels: np.ndarray) -> Row:
    best = np.mean([best_single(labels, truth, seen.zero_is_unknown) for truth in seen.truths])
    return dict(zip(SHOWN, (len(np.unique(labels)), seen.scores(labels)["ari_parts"], float(best))))


def best_single(labels: np.ndarray, truth: np.ndarray, zero_is_unknown: bool) -> float:
    """Mean over the true regions of the IoU of the segment that is most like each, where the truth is known."""
    inside = truth != 0 if zero_is_unknown else np.ones(truth.shape, bool)
    ours, true = labels[inside], truth[inside]
    return float(np.mean([max(iou(ours == n, true == region) for n in np.unique(ours)) for region in np.unique(true)]))


def of_numbers(features: Features) -> dict[str, LowResMasks]:
    """k-means with fixed numbers, or as many as there are distinct features."""
    most = len(features.features[0].flatten(0, 1).unique(dim=0))
    return {str(number): cluster_features(features, min(number, most), restarts=3) for number in FIXED}


def table(rows: list[Row], title: str) -> str:
    """A line per kind and way."""
    return means(sorted(rows, key=itemgetter("kind")), title, ("kind", "case"))
