"""From picture to draft, from a click to an exact mask and from a point to levels, beside lifting every segment."""

from functools import partial

import torch
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.pick import pick_levels
from emerdiff.nodes.steps.values import Source

from measure.jobs import pipeline, scene_image, table
from measure.metrics import interior
from measure.things import written
from measure.timing import PRECISIONS, Measured, compare
from reference import full_size
from small_model.model import load
from small_model.scenes import HELD_OUT, scene
from small_model.settings import STRENGTH

SEGMENTS = 20


def click(options) -> str:
    """The small model whole; Stable Diffusion 1.5's size at 512 pixels, random weights."""
    dtype = PRECISIONS[options.precision]
    small, full = Source(*load(dtype)), Source(*full_size.load(dtype))
    works = compare(jobs(small, 128, ("fast", "balanced", "paper")), options.rounds)
    sections = [f"**Small model, K = {SEGMENTS}, {options.precision}** {table(works, dtype)}", shares(works)]
    works = compare(jobs(full, 512, ("fast",)), 0)
    sections += [f"**SD1.5's size, 512 px, K = {SEGMENTS}, {options.precision}** {table(works, dtype)}", shares(works)]
    return "\n\n".join(sections)


def jobs(source: Source, size: int, presets) -> dict:
    """What one waits for with the picture opened, with a click made, and without either."""
    image, point = scene_image(size), interior(scene(HELD_OUT, size).labels == 2)
    read = partial(extract_features, source, image, resolution=size, reading=ROBUST._replace(attention=True))
    features, trajectory = read()
    labels = draft(source, image, size).labels
    clicked = (labels == labels[0, point[0], point[1]]).float()
    push, known = Push("fast", relative=True), Known(0, size, features, trajectory)
    every = {
        f"every segment, {name}": partial(pipeline, source, image, push_of(name), SEGMENTS, size) for name in presets
    }
    return every | {
        "picture to draft": partial(draft, source, image, size),
        "picture to points": read,
        "point to levels": partial(pick_levels, features, trajectory, image, (written([point]), "", None)),
        "click to mask, fast": partial(lift_mask, source, image, clicked, push, known),
    }


def push_of(preset: str) -> Push:
    return Push(preset, STRENGTH) if preset == "paper" else Push(preset, relative=True)


def draft(source: Source, image: torch.Tensor, size: int):
    return pipeline(source, image, push_of("draft"), SEGMENTS, size)


def shares(works: dict[str, Measured]) -> str:
    whole = works["every segment, fast"].median
    parts = [f"{name} {works[name].median / whole:.3f}" for name in ("picture to draft", "click to mask, fast")]
    point = works["point to levels"].median / works["picture to points"].median
    return f"Of the time of every segment by fast: {', '.join(parts)}. Of reading a picture: a point {point:.3f}."
