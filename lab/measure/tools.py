"""What tools for masks do on scenes whose true regions are known: lift rough masks, and part equal things that touch.

Lifting: IoU of rough masks of an object, before and after. Parting: drafts of scenes with pairs of equal things, and of
ordinary ones. Of how many pairs that share a connected part both get segments of their own (IoU above .5), and the mean
over the true regions of the IoU of the segment most like each: of connected parts, and of split_parts.

On any small model. Every scene's scores are appended to demo_output/tools/MODEL PART.jsonl, so an interrupted run
goes on where it stopped; the table is made from all of them.
"""

from functools import partial

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments import regions, touching

from measure.counts import best_single
from measure.log import Row
from measure.metrics import iou
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.rough import rough_masks
from measure.study import Study
from measure.tables import means
from small_model.scenes import SIZE, Scene, scene, touching_scene

SPECKS = 0.002  # of a picture: smaller parts and holes are gone before things are parted
SMALLEST_OBJECT = 60 / SIZE**2  # of a picture; less is left of an object that others cover


def main() -> None:
    study = Study("tools", __doc__, Scenes())
    for part in (lifting, parting):
        study.measure(part, partial(means, by=("case",)), part=part.__name__)


def lifting(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """IoU of five rough masks of the two objects drawn first, and of all lifted together, as they compete."""
    true = scene(seed, pipeline.bed.size)
    objects = [true.labels == number for number in range(2, 4)]
    cases = [
        (kind, rough, region)
        for region in objects
        if region.mean() >= SMALLEST_OBJECT
        for kind, rough in rough_masks(region, seed).items()
    ]
    rough = torch.from_numpy(np.stack([case[1] for case in cases]))
    known = pipeline.known(true.image, seed)
    presets = [name for name in ("draft", "fast", "balanced") if pipeline.bed.pushes or name == "draft"]
    lifted = {name: pipeline.lift(true.image, rough, name, known).numpy() > 0.5 for name in presets}
    rows = []
    for number, (kind, given, region) in enumerate(cases):
        row = {"case": kind, "rough mask": iou(given > 0.5, region)}
        rows.append(row | {f"lifted, {name}": iou(masks[number], region) for name, masks in lifted.items()})
    return rows


def parting(pipeline: Pipeline, seed: int, _) -> list[Row]:
    """A scene with touching pairs, and an ordinary one."""
    return [
        {"case": case, **parted(pipeline, make(seed, pipeline.bed.size))}
        for case, make in (("pairs", touching_scene), ("ordinary", scene))
    ]


def parted(pipeline: Pipeline, true: Scene) -> Row:
    labels = regions.tidied(pipeline.segmented(true.image, "draft").segmentation.labels[0], SPECKS, SPECKS)
    parts, things = (split(labels).numpy() for split in (regions.split_parts, touching.split_things))
    pairs = [number for number in range(2, len(true.words)) if true.words[number - 1] == true.words[number]]
    shared = [number for number in pairs if most_like(parts, np.isin(true.labels, (number - 1, number)))[0] > 0.7]
    own = [
        (most_like(things, true.labels == number - 1), most_like(things, true.labels == number)) for number in shared
    ]
    before, after = (best_single(segments, true.labels, zero_is_unknown=False) for segments in (parts, things))
    return {
        "pairs in one part": len(shared),
        "parted": sum(one[1] != other[1] and min(one[0], other[0]) > 0.5 for one, other in own),
        "IoU, connected parts": before,
        "IoU, split_parts": after,
        "worse": float(after < before - 1e-9),
    }


def most_like(segments: np.ndarray, region: np.ndarray) -> tuple[float, int]:
    """The IoU of the segment most like a region, and its number."""
    return max((iou(segments == number, region), int(number)) for number in np.unique(segments[region]))
