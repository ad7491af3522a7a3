"""What reading features with surroundings, mirrored and at half cells does to coarse masks, on pictures of four kinds.

No lifting: the coarse masks enlarged bilinearly, and along the picture's borders by the guided filter. Beside them
k-means on the picture's own colours. `--half reporting` for pictures that no choice was made on. Every picture's scores
are appended to demo_output/features/MODEL.jsonl, so an interrupted run goes on where it stopped.
"""

from collections.abc import Iterator
from operator import itemgetter

import numpy as np
import torch
from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.emerdiff_ops.guided import guided_filter
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import PLAIN, Reading

from measure.colours import colour_labels
from measure.log import Row, mean_and_error
from measure.metrics import FIGURES, bilinear_labels
from measure.pictures import Pictured, Pictures
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import grouped, markdown, paired

READINGS = {
    "plain": PLAIN,
    "surroundings": Reading(surroundings=0.25),
    "mirrored": Reading(mirrored=True),
    "dense": Reading(dense=True),
    "surroundings, mirrored": Reading(surroundings=0.25, mirrored=True),
    "surroundings, dense": Reading(surroundings=0.25, dense=True),
    "surroundings, mirrored, dense": Reading(surroundings=0.25, mirrored=True, dense=True),
}
RADIUS = 8  # pixels at working size, of the guided filter


def main() -> None:
    study = Study("features", __doc__, Pictures("tuning", 20))
    study.parser.add_argument("--readings", choices=READINGS, nargs="+", default=list(READINGS))
    study.measure(measured, table, (*study.options.readings, "colours"), itemgetter("case"))


def measured(pipeline: Pipeline, seen: Pictured, names: list[str]) -> Iterator[Row]:
    for name in names:
        for way, labels in labelled(pipeline, seen, name).items():
            yield {"case": name, "way": way, **seen.scores(labels)}


def labelled(pipeline: Pipeline, seen: Pictured, name: str) -> dict[str, np.ndarray]:
    if name == "colours":
        return {"bilinear": colour_labels(seen.image, pipeline.bed.segments)}
    return coarse_labels(pipeline, seen, READINGS[name])


def coarse_labels(pipeline: Pipeline, seen: Pictured, reading: Reading) -> dict[str, np.ndarray]:
    """Label maps [H, W] of the features' clusters, enlarged in both ways."""
    features, trajectory = pipeline.features(seen.image, 0, reading=reading)
    masks = cluster_features(features, pipeline.bed.segments).masks[0]
    size, work = seen.image.shape[:2], trajectory.working_size
    picture = resize_maps(torch.from_numpy(seen.image).movedim(-1, 0), work).movedim(0, -1)
    along = guided_filter(resize_maps(masks, work), picture, RADIUS)
    return {"bilinear": bilinear_labels(masks, size), "along the borders": bilinear_labels(along, size)}


def table(rows: list[Row], title: str) -> str:
    """Per kind and way, every reading: mean, and the gain over the features read plainly, picture by picture."""
    lines = []
    for (kind,), of_kind in grouped(rows, "kind"):
        plain = [row for row in of_kind if (row["case"], row["way"]) == ("plain", "bilinear")]
        for (way, case), group in grouped(of_kind, "way", "case"):
            lines.append([f"{kind}, {len(group)}", way, case, *(cell(group, plain, figure) for figure in FIGURES)])
    title = (
        f"{title}; mean, and the gain over features read plainly and enlarged bilinearly, paired, +- standard error."
    )
    return markdown(title, ["pictures", "enlarged", "features read", *FIGURES.values()], lines)


def cell(group: list[Row], plain: list[Row], figure: str) -> str:
    return f"{np.mean([row[figure] for row in group]):.3f} ({mean_and_error(paired(group, plain, figure), '+')})"
