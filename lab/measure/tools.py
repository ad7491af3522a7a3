"""What rough masks of an object come to on scenes whose true regions are known: IoU before and after lifting.

On any small model. Every scene's scores are appended to demo_output/tools/MODEL PART.jsonl, so an interrupted run
goes on where it stopped; the table is made from all of them.
"""

from functools import partial

import numpy as np
import torch

from measure.log import Row
from measure.metrics import iou
from measure.pictures import Scenes
from measure.pipeline import Pipeline
from measure.rough import rough_masks
from measure.study import Study
from measure.tables import means
from small_model.scenes import SIZE, scene

SMALLEST_OBJECT = 60 / SIZE**2  # of a picture; less is left of an object that others cover


def main() -> None:
    study = Study("tools", __doc__, Scenes())
    study.measure(lifting, partial(means, by=("case",)), part="lifting")


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
