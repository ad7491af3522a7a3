"""The pipeline of a method that needs a model; imported only then, because ComfyUI comes with it."""

from pathlib import Path

from measure import beds
from measure.pipeline import Pipeline
from measure.timing import PRECISIONS, fastest_precision


def pipeline_of(model: str, checkpoint: Path | None, segments: int | None) -> Pipeline:
    """On a small model or a checkpoint; segments None: as many as the paper makes. Raises ValueError in a sentence."""
    if checkpoint and not checkpoint.is_file():
        raise ValueError(f"there is no file {checkpoint}: give --checkpoint a checkpoint of Stable Diffusion")
    if model not in beds.BEDS:
        raise ValueError(f"there is no small model {model}: --model takes {' or '.join(beds.BEDS)}")
    bed = beds.of_checkpoint(checkpoint) if checkpoint else beds.BEDS[model]
    bed = bed if segments is None else bed._replace(segments=segments)
    try:
        return Pipeline(PRECISIONS[fastest_precision()], bed)
    except Exception as error:  # the host, and what it reads files with, raise whatever comes
        raise ValueError(f"{checkpoint or model} is no checkpoint that ComfyUI can load: {error}") from error
