"""One picture after another to its results, by a model on this process's device."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from batch import pictures, results
from batch.results import Row
from journal import no_more
from measure.beds import Bed, chosen
from measure.pipeline import Pipeline
from measure.timing import PRECISIONS
from reasons import in_words


class Job(NamedTuple):
    """What is done to every picture of a folder; plain values, to be sent to other processes."""

    folder: Path
    output: Path
    checkpoint: Path | None
    model: str  # one of the small models, where there is no checkpoint
    preset: str
    segments: int
    resolution: int  # pixels of the shorter side as the model sees it; 0: the model's own
    precision: str
    masks: bool

    @property
    def settings(self) -> Row:
        """What results have in common; those of other settings are not mixed with them."""
        size = self.checkpoint.stat().st_size if self.checkpoint else 0
        model = f"{self.checkpoint.name}, {size} bytes" if self.checkpoint else self.model
        row = self._asdict() | {"folder": str(self.folder), "model": model}
        return {name: row[name] for name in row if name not in ("output", "checkpoint")}

    @property
    def bed(self) -> Bed:
        bed = chosen(self.model, self.checkpoint)
        return bed._replace(segments=self.segments, size=self.resolution or bed.size)


class Segmenter:
    """A model, and what it makes of the pictures of a job; Stop where the model cannot be used."""

    def __init__(self, job: Job):
        self.job, self.pipeline = job, Pipeline(PRECISIONS[job.precision], job.bed)

    def __call__(self, path: str) -> Row:
        """Segment a picture and write its results; its line, or one that says what was wrong with it."""
        begin = time.perf_counter()
        try:
            image = pictures.read(self.job.folder / path)
            labels = self.labels(image)
        except Exception as error:  # one picture that fails, however it does, leaves the others alone
            return {"error": in_words(error)}
        row = self.written(path, image, labels)
        return row | {"seconds": round(time.perf_counter() - begin, 3)}

    def labels(self, image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.pipeline.segmented(image, self.job.preset).labels

    def written(self, path: str, image: np.ndarray, labels: np.ndarray) -> Row:
        try:
            return results.write(self.job.output, path, image, labels, self.job.masks)
        except OSError as error:
            if error.errno not in results.FULL:
                return {"error": in_words(error)}  # a name too long with its new ending
            raise no_more(self.job.output, error) from error
