"""Whether modulated denoising carries over to a transformer: the small Flux pushed along masks in several ways.

A constant over channels does nothing behind a LayerNorm, so masks are pushed along their mean feature less that of the
picture, or by one number in all channels, before the output projection of a block's attention; all attention maps are
held at the unmodulated run's, the text's too. From there the flow is followed to the picture in a few steps. Scored are
the difference maps alone, and weighted by the coarse masks as the presets do. Scores are appended to
demo_output/transformers/pushes HALF.jsonl, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, read
from measure.pictures import Pictured, add_arguments, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision

start_host()
load_pack()

from emerdiff.emerdiff_ops.attention import loudness
from emerdiff.emerdiff_ops.difference import evened
from emerdiff.emerdiff_ops.schedule import deterministic_step, noise_for
from emerdiff.nodes.host.latents import covered_pixels
from emerdiff.nodes.host.network import with_noise
from emerdiff.nodes.host.progress import Progress
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.host.transformers import FAMILIES, Block, find_block
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, captured, read_features
from emerdiff.nodes.steps.extract import invert as inverted
from emerdiff.nodes.steps.read_out import READOUTS, guide_of, weighted
from emerdiff.nodes.steps.values import DifferenceMaps, LowResMasks, Trajectory

from measure import beds
from measure.pipeline import Pipeline

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "transformers"
SHOWN = {"miou": "mIoU", "ari": "ARI", "f2": "boundary F, 2 px"}
EVENNESS = 0.5  # of the presets that lift


class Way(NamedTuple):
    """How masks are pushed: at which noise level, in how many steps to the picture, along what, and how hard."""

    level: float
    steps: int
    along: str
    strength: float  # times the root mean square of what attention gives
    held: bool = True  # attention maps at the unmodulated run's

    def __str__(self) -> str:
        held = "" if self.held else ", maps not held"
        return f"from {self.level} in {self.steps} steps, along {self.along}, {self.strength:g} times{held}"


MEAN, CONSTANT = "the mean feature", "one number"
WAYS = [
    *(
        Way(level, steps, along, 3.0)
        for level, steps, along in itertools.product((0.44, 0.6), (2, 4), (MEAN, CONSTANT))
    ),
    Way(0.44, 4, MEAN, 1.0),
    Way(0.44, 4, MEAN, 10.0),
    Way(0.44, 4, MEAN, 3.0, held=False),
]


class FlowPush:
    """Hook of one evaluation over rows: maps of row 0 held, and offsets [rows, tokens, C] added in one block."""

    def __init__(self, block: Block, offsets: Tensor | None, held: bool):
        self.block, self.offsets, self.held = block, offsets, held

    def install(self, transformer_options) -> None:
        transformer_options["optimized_attention_override"] = self.attention

    def attention(self, function, query, key, value, heads, *args, **kwargs):
        if self.held:
            query, key = query[:1].expand_as(query), key[:1].expand_as(key)
        output = function(query, key, value, heads, *args, **kwargs)
        options = kwargs["transformer_options"]
        if self.offsets is not None and (options["block_type"], options["block_index"]) == self.block:
            output[:, -self.offsets.shape[1] :] += self.offsets.to(output)
        return output


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log, bed = OUTPUT / f"pushes {options.half}.jsonl", beds.SMALL_FLUX
    with torch.inference_mode():
        measure = partial(measured, Pipeline(PRECISIONS[fastest_precision()], bed))
        measure_missing_pictures(log, options, bed.size, measure)
    report = table(read(log))
    (OUTPUT / "pushes.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "tuning", 3)
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured, _) -> Iterator[Row]:
    """The draft of one picture, then every way to push, alone and weighted by the coarse masks."""
    picture = torch.from_numpy(seen.image)[None]
    trajectory = inverted(pipeline.source, picture, 0, pipeline.bed.size)
    low_res = cluster_features(read_features(pipeline.source, trajectory, ROBUST), pipeline.bed.segments)
    _, _, _, draft = pipeline.segmented(seen.image, "draft")
    yield {"way": "draft", "maps": "", **seen.scores(draft)}
    for way in WAYS:
        for maps, differences in both(pipeline, trajectory, low_res, picture, way).items():
            labels = assemble_masks(DifferenceMaps(differences[None], trajectory.image_size), image=picture).labels[0]
            yield {"way": str(way), "maps": maps, **seen.scores(labels.numpy())}


def both(
    pipeline: Pipeline, trajectory: Trajectory, low_res: LowResMasks, picture: Tensor, way: Way
) -> dict[str, Tensor]:
    """Difference maps [K, H, W], alone and weighted by the coarse masks along the picture's borders."""
    vae, size = pipeline.source.vae, trajectory.working_size
    finals = pushed(pipeline, trajectory, low_res.of(0), way)
    guide = guide_of(vae, trajectory.latent, size, Progress({}, {}), picture[0])
    alone = evened(torch.stack(list(READOUTS["latents"].maps(vae, finals, guide, size, Progress({}, {})))), EVENNESS)
    along = weighted(alone, low_res.of(0), guide, covered_pixels(vae, low_res.latent_size), size)
    return {"alone": alone, "weighted": torch.stack(list(along))}


def pushed(pipeline: Pipeline, trajectory: Trajectory, masks: Tensor, way: Way) -> Tensor:
    """Final latents [1 + 2K, c, h', w']: the unmodulated run's, then -c and +c of every mask [K, h, w]."""
    model, _, conditioning = pipeline.source
    block = find_block(model, FAMILIES["Flux"], "auto")
    levels = [way.level * (1 - step / way.steps) for step in range(way.steps)]
    timesteps = trajectory.timesteps[-way.steps :]
    noises = list(noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps, timesteps).values())
    read = captured(pipeline.source, trajectory.latent, noises[0], way.level, block)[0]  # [h, w, C]
    offsets = offsets_of(masks, read, way)

    def work(x0, predict):
        x = with_noise(model, x0, levels[0], noises[0].to(x0)).expand(len(offsets), -1, -1, -1)
        for step, (level, after) in enumerate(zip(levels, [*levels[1:], 0.0])):
            denoised = predict(x, level, FlowPush(block, offsets if step == 0 else None, way.held))
            if after:
                x = deterministic_step(x, denoised, with_noise(model, x0, after, noises[step + 1].to(x0)), level, after)
        return denoised

    return run_session(model, conditioning, trajectory.latent, work, len(offsets)).float().cpu()


def offsets_of(masks: Tensor, read: Tensor, way: Way) -> Tensor:
    """What is added for every row, none for the first: [1 + 2K, tokens, C]; masks [K, h, w], what is read [h, w, C]."""
    tokens, inside = read.flatten(0, 1), masks.flatten(1)  # [n, C], [K, n]
    means = (
        inside @ tokens / inside.sum(1, keepdim=True) - tokens.mean(0)
        if way.along == MEAN
        else torch.ones(len(masks), tokens.shape[1])
    )
    directions = means / means.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)  # [K, C], of root mean square 1
    push = way.strength * loudness(tokens) * inside[..., None] * directions[:, None]  # [K, n, C]
    return torch.cat([torch.zeros_like(push[:1]), torch.stack([-push, push], 1).flatten(0, 1)])


def table(rows: list[Row]) -> str:
    """Every way: the gain over the draft, picture by picture, on scenes and on photographs."""
    drafts = {(row["kind"], row["key"]): row for row in rows if row["way"] == "draft"}
    lines = [f"Small Flux, {len(drafts)} tuning pictures; gain over its draft, paired, +- standard error.", ""]
    lines += [f"| pushed | maps | pictures | {' | '.join(SHOWN.values())} |", "|---" * (3 + len(SHOWN)) + "|"]
    for pictures, kinds in {"scenes": ("scenes", "textured"), "photographs": ("coco", "bsds")}.items():
        of_these = [row for row in rows if row["kind"] in kinds and row["way"] != "draft"]
        for way, maps in dict.fromkeys((row["way"], row["maps"]) for row in of_these):
            group = [row for row in of_these if (row["way"], row["maps"]) == (way, maps)]
            cells = [gain(group, drafts, name) for name in SHOWN]
            lines.append(f"| {way} | {maps} | {pictures}, {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def gain(group: list[Row], drafts: dict, name: str) -> str:
    return mean_and_error(np.array([row[name] - drafts[row["kind"], row["key"]][name] for row in group]), "+")


if __name__ == "__main__":
    main()
