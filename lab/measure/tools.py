"""What rough masks of an object come to on scenes whose true regions are known: IoU before and after lifting.

On any small model. Every scene's scores are appended to demo_output/tools/MODEL PART.jsonl, so an interrupted run
goes on where it stopped; the table is made from all of them.
"""

from collections.abc import Iterator
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


def lifting(pipeline: Pipeline, seed: int, _) -> Iterator[Row]:
    """The two objects drawn first, under five rough masks: IoU of the rough mask, and of the lifted ones."""
    true = scene(seed, pipeline.bed.size)
    known = pipeline.known(true.image, seed)
    presets = [name for name in ("draft", "fast", "balanced") if pipeline.bed.pushes or name == "draft"]
    for region in (each for each in (true.labels == 2, true.labels == 3) if each.mean() >= SMALLEST_OBJECT):
        rough = rough_masks(region, seed)
        masks = torch.from_numpy(np.stack([*rough.values()]))
        lifted = {name: pipeline.lift(true.image, masks, name, known).numpy() > 0.5 for name in presets}
        for number, (kind, given) in enumerate(rough.items()):
            figures = {f"lifted, {name}": iou(each[number], region) for name, each in lifted.items()}
            yield {"case": kind, "rough mask": iou(given > 0.5, region), **figures}
