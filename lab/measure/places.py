"""Where in a transformer features are read best: kind, block and noise level, on the small Flux and tuning pictures.

Every block of one evaluation is recorded: queries, keys and values as attention is given them, what it gives, what the
block puts out, and that less its massive channels. Each is clustered, and the coarse masks enlarged bilinearly are
scored. First every kind in every block at one level of noise, then what attention gives at every level. Scores are
appended to demo_output/transformers/places HALF.jsonl, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, publish, read
from measure.metrics import bilinear_labels
from measure.pictures import Pictured, add_arguments, measure_missing_pictures
from measure.timing import PRECISIONS, fastest_precision

start_host()
load_pack()

from emerdiff.emerdiff_ops.schedule import noise_for
from emerdiff.emerdiff_ops.views import canvas_of, mean_reading, views
from emerdiff.nodes.host.network import with_noise
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST, invert
from emerdiff.nodes.steps.values import Features, Trajectory, size_of

from measure import beds
from measure.pipeline import Pipeline
from small_model.small_flux import DEPTHS, PATCH

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "transformers"
PAGE = ROOT / "docs" / "transformers.md"
BLOCKS = [(kind, number) for kind, depth in DEPTHS.items() for number in range(depth)]
GIVEN, PUT_OUT = "what attention gives", "what the block puts out"
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.44, 0.6)  # of noise, in the flow's own measure
LEVEL = 0.3  # at which the kinds are compared
MASSIVE = 5.0  # times the median channel's mean square root
SHOWN = {"miou": "mIoU", "ari": "ARI", "f2": "boundary F, 2 px"}


class Recording:
    """What every block of one evaluation has of the picture's tokens: {(kind, block): [rows, tokens, C]}."""

    def __init__(self, tokens: int):
        self.tokens, self.block = tokens, BLOCKS[0]
        self.read: dict[tuple[str, tuple[str, int]], Tensor] = {}

    def install(self, transformer_options) -> None:
        blocks = transformer_options.setdefault("patches_replace", {}).setdefault("dit", {})
        blocks |= {(f"{kind}_block", number): partial(self.in_block, (kind, number)) for kind, number in BLOCKS}
        transformer_options["optimized_attention_override"] = self.attention

    def in_block(self, block, arguments, original):
        self.block = block
        out = original["original_block"](arguments)
        self.keep(PUT_OUT, out["img"])
        return out

    def attention(self, function, query, key, value, heads, *args, **kwargs):
        for kind, each in (("queries", query), ("keys", key), ("values", value)):
            self.keep(kind, each.transpose(1, 2).flatten(2))
        output = function(query, key, value, heads, *args, **kwargs)
        self.keep(GIVEN, output)
        return output

    def keep(self, kind: str, of_all: Tensor) -> None:
        self.read[kind, self.block] = of_all[:1, -self.tokens :].float().cpu()


def without_massive(features: Tensor) -> Tensor:
    """Features [B, h, w, C] without the few channels that outweigh all others (DiTF)."""
    size = features.square().mean((0, 1, 2)).sqrt()
    return features[..., size < MASSIVE * size.median()]


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    log, bed = OUTPUT / f"places {options.half}.jsonl", beds.SMALL_FLUX
    with torch.inference_mode():
        measure = partial(measured, Pipeline(PRECISIONS[fastest_precision()], bed))
        measure_missing_pictures(log, options, bed.size, measure)
    report = table(read(log))
    (OUTPUT / "places.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "tuning", 3)
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    return parser.parse_args()


def measured(pipeline: Pipeline, seen: Pictured, _) -> Iterator[Row]:
    """Every place that is compared, of one picture."""
    trajectory = invert(pipeline.source, torch.from_numpy(seen.image)[None], 0, pipeline.bed.size)
    for level in LEVELS:
        for (kind, block), features in recorded(pipeline, trajectory, level).items():
            if level == LEVEL or kind == GIVEN:
                masks = cluster_features(features, pipeline.bed.segments).masks[0]
                scores = seen.scores(bilinear_labels(masks, seen.image.shape[:2]))
                yield {"read": kind, "block": " ".join(map(str, block)), "level": level, **scores}


def recorded(pipeline: Pipeline, trajectory: Trajectory, level: float) -> dict[tuple, Features]:
    """Features of every kind and block, with surroundings and mirrored as the nodes read them."""
    latent, size = trajectory.latent, size_of(trajectory.latent)
    grid = size[0] // PATCH, size[1] // PATCH
    seen = views(ROBUST.surroundings, ROBUST.mirrored, ROBUST.dense, size, grid, PATCH)
    canvas = seen[0].canvas
    shape, timestep = torch.Size((1, latent.shape[1], *canvas)), trajectory.timesteps[-1]
    noise = noise_for(shape, trajectory.seed, trajectory.timesteps, {timestep})[timestep]
    readings = [(view, evaluated(pipeline, canvas_of(latent, view), noise, level)) for view in seen]
    side = canvas[0] // PATCH, canvas[1] // PATCH
    features = {
        place: Features(
            mean_reading(((view, read[place].unflatten(1, side)) for view, read in readings), grid, False), size
        )
        for place in readings[0][1]
    }
    thinned = {("the same less massive channels", block): features[PUT_OUT, block] for block in BLOCKS}
    return features | {place: each._replace(features=without_massive(each.features)) for place, each in thinned.items()}


def evaluated(pipeline: Pipeline, latent: Tensor, noise: Tensor, level: float) -> dict:
    """One evaluation of a latent [1, c, h', w'], and all that its blocks have."""
    model, _, conditioning = pipeline.source
    recording = Recording(latent.shape[-2] * latent.shape[-1] // PATCH**2)

    def work(x0, predict):
        return predict(with_noise(model, x0, level, noise.to(x0)), level, recording)

    run_session(model, conditioning, latent, work)
    return recording.read


def table(rows: list[Row]) -> str:
    """Kinds by their best block, then blocks and levels of what attention gives: mean of the three scores."""
    lines = [f"Small Flux, {len({(row['kind'], row['key']) for row in rows})} tuning pictures; mean +- standard error."]
    lines += ["", f"| read at noise level {LEVEL} | best block | {' | '.join(SHOWN.values())} | mean of the three |"]
    lines += ["|---" * (3 + len(SHOWN)) + "|"]
    at_level = [row for row in rows if row["level"] == LEVEL]
    for kind in dict.fromkeys(row["read"] for row in at_level):
        of_kind = [row for row in at_level if row["read"] == kind]
        best = max(dict.fromkeys(row["block"] for row in of_kind), key=partial(mean_at, of_kind))
        group = [row for row in of_kind if row["block"] == best]
        lines.append(f"| {kind} | {best} | {' | '.join(cell(group, name) for name in SHOWN)} | {cell(group)} |")
    given = [row for row in rows if row["read"] == GIVEN]
    lines += ["", f"| {GIVEN}, block | {' | '.join(f'noise {level}' for level in LEVELS)} |"]
    lines += ["|---" * (1 + len(LEVELS)) + "|"]
    for block in dict.fromkeys(row["block"] for row in given):
        cells = [cell([row for row in given if (row["block"], row["level"]) == (block, level)]) for level in LEVELS]
        lines.append(f"| {block} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def mean_at(rows: list[Row], block: str) -> float:
    return float(np.mean([of_all(row) for row in rows if row["block"] == block]))


def of_all(row: Row) -> float:
    return float(np.mean([row[name] for name in SHOWN]))


def cell(rows: list[Row], name: str | None = None) -> str:
    """Mean and error of one score, or of the mean of all."""
    return mean_and_error(np.array([row[name] if name else of_all(row) for row in rows]))


if __name__ == "__main__":
    main()
