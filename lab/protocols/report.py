"""From the rows of all pictures to the tables of a protocol."""

from typing import NamedTuple

import numpy as np

from measure.log import Row
from measure.tables import markdown
from protocols.data_sets import DataSet
from protocols.hungarian import Tally, all_at_once, picture_by_picture, with_background_by_truth, without_surplus
from protocols.modified import NEAREST, by_concepts, shared_clusters
from protocols.rows import counts_of, embeddings_of
from protocols.scores import accuracy, ious, mean_iou, mean_iou_of_present, summed, with_error
from reasons import Stop

PROTOCOLS = ("per-image", "data-set", "modified")
COLUMNS = {"mIoU": mean_iou, "mIoU over classes that occur": mean_iou_of_present, "pixel accuracy": accuracy}


class Scoring(NamedTuple):
    """What is made of the rows."""

    protocol: str
    clusters: int = 0  # that all pictures share; 0: as many as there are classes
    nearest: str = NEAREST[0]


def report(rows: list[Row], data: DataSet, scoring: Scoring, title: str) -> str:
    """Means and errors of every way to count, and the IoU of every class; raises Stop where there is nothing."""
    if not rows:
        raise Stop("no picture has been measured yet")
    counts = [counts_of(row, len(data.classes)) for row in rows]
    if not any(each.any() for each in counts):
        raise Stop("no pixel of these pictures is of any class, so there is nothing to score")
    tallies = ways_to_count(rows, counts, data, scoring)
    segments = np.mean([row["segments"] for row in rows])
    title = (
        f"{title}: {segments:.1f} segments in a picture, {len(rows):,} of the {data.pictures:,} pictures that "
        "published figures are of; +- standard error over pictures."
    )
    table = markdown(title, ["", *COLUMNS], [[name, *cells(tally)] for name, tally in tallies.items()])
    return "\n".join([table, *by_class(tallies, data.classes)]) + "\n"


def ways_to_count(rows: list[Row], counts: list[np.ndarray], data: DataSet, scoring: Scoring) -> dict[str, Tally]:
    if scoring.protocol == "per-image":
        return matched_alone(counts, data.background)
    embeddings = [embeddings_of(row) for row in rows]
    if scoring.protocol == "modified":
        return {"nearest concept": by_concepts(counts, embeddings, scoring.nearest)}
    number = scoring.clusters or len(data.classes)
    clusters = shared_clusters(counts, embeddings, number, scoring.nearest)
    return {f"{number} clusters, one matching": all_at_once(counts, clusters, number)}


def matched_alone(counts: list[np.ndarray], background: int | None) -> dict[str, Tally]:
    matched = picture_by_picture(counts)
    found = {"as matched": matched, "surplus clusters count for nothing": without_surplus(matched)}
    if background is not None:
        merged = [with_background_by_truth(each, background) for each in counts]
        found["background merged by the truth"] = picture_by_picture(merged)
    return found


def cells(tally: Tally) -> list[str]:
    return ["{:.3f} +- {:.3f}".format(*with_error(score, tally)) for score in COLUMNS.values()]


def by_class(tallies: dict[str, Tally], classes: tuple[str, ...]) -> list[str]:
    """A line for every class that occurs or is claimed: its pixels, and its IoU in every way to count."""
    totals = [summed(each) for each in tallies.values()]
    found, pixels = [ious(each) for each in totals], totals[0].hits + totals[0].missed
    lines = [f"| class | pixels | {' | '.join(f'IoU, {name}' for name in tallies)} |", "|---" * (2 + len(found)) + "|"]
    for place, name in enumerate(classes):
        values = [each[place] for each in found]
        if not np.isnan(values).all():
            lines.append(f"| {name} | {pixels[place]:,} | {' | '.join(f'{each:.3f}' for each in values)} |")
    return lines
