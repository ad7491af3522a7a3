"""What counts as refused in a sentence, and saved files of every kind to begin with; for the tests of all tiers."""

import re

import torch
from safetensors.torch import save

FOREIGN = re.compile(
    r"Expecting|Exceeds the limit|invalid literal|embedded null|codec can't|could not convert|convert float|unpack"
)


class Finding(Exception):
    """What was read is neither valid nor refused in a sentence."""


def refused(function, *arguments):
    """What the function gives; None where it refuses in a sentence of ours, which is never Python's own."""
    try:
        return function(*arguments)
    except ValueError as error:
        sentence = str(error)
        if type(error) is not ValueError or FOREIGN.match(sentence) or not 20 < len(sentence) < 1000:
            raise Finding(sentence) from error


def valid_files() -> list[bytes]:
    """A file of every kind of value; needs ComfyUI."""
    from emerdiff.nodes.steps import values
    from emerdiff.nodes.steps.saved import to_file

    labels = torch.arange(12, dtype=torch.int16).reshape(1, 3, 4) % 5
    every = [
        values.Features(torch.ones(1, 2, 2, 3), (4, 4)),
        values.Trajectory(torch.ones(1, 4, 2, 2), 7, (981, 281, 1), (16, 12), (30, 24), "SD15"),
        values.LowResMasks(torch.eye(4).reshape(1, 4, 2, 2), (4, 4)),
        values.DifferenceMaps(torch.ones(1, 2, 3, 4), (30, 24)),
        values.Segmentation(labels, 5),
        values.Segmentation(labels, 5, torch.ones(1, 5, 3, 4)),
    ]
    saved = [to_file(each) for each in every]
    return [save(tensors, {**metadata, "emerdiff": kind, "version": "1"}) for kind, tensors, metadata in saved]
