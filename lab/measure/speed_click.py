"""From picture to draft, from a click to an exact mask and from a point to levels, beside lifting every segment."""

from functools import partial

import torch
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.pick import pick_levels
from emerdiff.nodes.steps.values import Source

from measure.jobs import pipeline, scene_image, table
from measure.metrics import interior
from measure.speed_full_size import decoding, full_jobs, seconds_computed
from measure.things import written
from measure.timing import PRECISIONS, Measured, compare
from reference import full_size
from small_model.model import load
from small_model.scenes import HELD_OUT, scene
from small_model.settings import STRENGTH

SEGMENTS = 20
LARGE = (2160, 3840)  # pixels, of a picture whose draft is assembled at its own size


def click(options) -> str:
    """The small model whole; Stable Diffusion 1.5's size at 512 pixels, random weights; dear presets are computed."""
    dtype = PRECISIONS[options.precision]
    small, full = Source(*load(dtype)), Source(*full_size.load(dtype))
    works = compare(jobs(small, 128, ("fast", "balanced", "paper")), options.rounds)
    sections = [f"**Small model, K = {SEGMENTS}, {options.precision}** {table(works, dtype)}", shares(works)]
    works = compare(jobs(full, 512, ("fast",)), 0)
    sections += [f"**SD1.5's size, 512 px, K = {SEGMENTS}, {options.precision}** {table(works, dtype)}", shares(works)]
    sections += [dearer(full), large(small, options.rounds)]
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


def dearer(source: Source) -> str:
    """Whole runs that take hours on a processor, from the cost of a variant and step and of a decoding."""
    jobs = {name: job for name, job in full_jobs(source, 512, 2).items() if name.startswith("exact")}
    works, decoder = compare(jobs, 0), decoding(source, 512)
    first = works["exact, one level"].median / 4
    later = works["exact, two levels"].median / 4 - first
    seconds = {name: seconds_computed(PRESETS[name], first, later, decoder, SEGMENTS) for name in ("balanced", "paper")}
    return f"Computed: {', '.join(f'every segment, {name} {each:.0f} s' for name, each in seconds.items())}."


def large(source: Source, rounds: int) -> str:
    """What follows the UNet, for a picture of 4K: from features to a label map."""
    image = torch.nn.functional.interpolate(scene_image().movedim(-1, 1), LARGE, mode="bilinear").movedim(1, -1)
    features, trajectory = extract_features(source, image, resolution=128, reading=ROBUST)

    def after(number: int):
        low_res = cluster_features(features, number)
        return assemble_masks(
            modulate_attention(source, trajectory, low_res, push_of("draft"), image=image), image=image
        )

    works = compare({str(number): partial(after, number) for number in (SEGMENTS, 0)}, rounds)
    parts = [f"{work.median:.1f} s with {number} segments" for number, work in works.items()]
    return f"A draft of {LARGE[1]} x {LARGE[0]} pixels after the UNet: {', '.join(parts)}."
