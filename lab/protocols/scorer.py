"""One picture after another to its row, by a method on this process's device."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from measure.log import Row
from measure.timing import PRECISIONS, fastest_precision
from protocols.layouts import DataError, Files
from protocols.methods import METHODS, NO_MODEL, colours, queries
from protocols.rows import Method, measured
from protocols.ways import WAYS, read
from reasons import in_words

COLOURS = 20  # clusters, unless told


class Job(NamedTuple):
    """What rows are made of, for this process or another."""

    method: str
    model: str
    checkpoint: Path | None
    segments: int | None
    embedded: bool
    way: str
    classes: int
    meaning: dict[int, int]
    files: dict[str, Files]


class Scorer:
    """The job's method, loaded, and the row of each picture by its name."""

    def __init__(self, job: Job):
        self.job, self.method = job, prepared(job)

    def __call__(self, name: str) -> Row:
        """ "error", a sentence that names the file, where the picture cannot be read or not be segmented."""
        files = self.job.files[name]
        try:
            picture, truth = read(files, self.job.meaning, WAYS[self.job.way])
            with torch.inference_mode():
                return measured(self.method, picture, truth, self.job.classes)
        except DataError as error:
            return {"error": str(error)}
        except (ValueError, RuntimeError) as error:  # what the model refuses, and memory that does not do
            return {"error": f"{files.picture}: {in_words(error)}"}


def prepared(job: Job) -> Method:
    """The method with what it runs on; ComfyUI is started only where there is a model."""
    pipeline: Any
    if job.method in NO_MODEL:
        pipeline, features = SimpleNamespace(bed=SimpleNamespace(segments=job.segments or COLOURS)), colours
    else:
        from measure.beds import chosen
        from measure.pipeline import Pipeline

        bed = chosen(job.model, job.checkpoint)
        bed = bed if job.segments is None else bed._replace(segments=job.segments)
        pipeline = Pipeline(PRECISIONS[fastest_precision()], bed)
        features = partial(queries, pipeline)
    return Method(partial(METHODS[job.method], pipeline), features if job.embedded else None)
