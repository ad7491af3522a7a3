"""Whether the right strength (lambda) follows from how large the pushed layer's own output is.

For several cross-attention layers of a model: the root mean square of the layer's output in the unmodulated run at t_m,
and the mean quality of the masks at many lambdas. Were lambda to be given in units of that output, one value would have
to be right everywhere: the table shows how far the best lambdas lie apart, in both units. Scores are appended to
demo_output/strength/MODEL.jsonl, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, append, publish, read
from measure.pictures import KINDS, Pictured, pictured, spread_out
from measure.timing import PRECISIONS, fastest_precision
from small_model.photographs import FOLDER, HALVES

start_host()
load_pack()

from emerdiff.emerdiff_ops.attention import loudness
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.emerdiff_ops.schedule import sample_level
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.modulate import Push, modulate_attention, noise_levels

from measure import beds
from measure.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "strength"
PAGE = ROOT / "docs" / "robustness.md"
LAMBDAS = tuple(2.5 * 2**power for power in range(9))  # 2.5 to 640
PRESET = "balanced"


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return
    bed = beds.chosen(options)
    log = OUTPUT / f"{bed.name}.jsonl"
    with torch.inference_mode():
        measure_all(Pipeline(PRECISIONS[fastest_precision()], bed), log, options)
    report = table({path.stem: read(path) for path in sorted(OUTPUT.glob("*.jsonl"))})
    (OUTPUT / "strength.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=["scenes"])
    parser.add_argument("--half", choices=HALVES, default="tuning")
    parser.add_argument("--count", type=int, default=6, help="pictures of every kind")
    parser.add_argument("--layers", nargs="+", help="only these, such as 'output 5.0'")
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the table into the page")
    return parser.parse_args()


def measure_all(pipeline: Pipeline, log: Path, options: argparse.Namespace) -> None:
    done = {(row["kind"], row["key"], row["layer"]) for row in read(log)}
    layers = [layer for layer in unet.cross_attention_layers(pipeline.source.model) if layer.block != "input"]
    layers = [layer for layer in layers if not options.layers or str(layer) in options.layers]
    for kind, key in spread_out(options.kinds, options.count, options.half, options.root):
        seen = pictured(kind, key, pipeline.bed.size, options.half, options.root)
        for layer in layers:
            if (kind, key, str(layer)) not in done:
                append(log, *({"kind": kind, "key": key, **row} for row in measured(pipeline, seen, layer)))
                print(kind, key, layer, flush=True)


def measured(pipeline: Pipeline, seen: Pictured, layer: unet.Layer) -> Iterator[Row]:
    """A row for every lambda: how large the layer's output is, and how good the masks are."""
    features, trajectory = pipeline.features(seen.image, 0, reading=ROBUST)
    masks = cluster_features(features, pipeline.bed.segments)
    size = output_size(pipeline, trajectory, layer)
    for strength in LAMBDAS:
        maps = modulate_attention(pipeline.source, trajectory, masks, Push(PRESET, strength, layer=str(layer)))
        scores = seen.scores(assemble_masks(maps).labels[0].numpy())
        yield {"layer": str(layer), "output": size, "strength": strength, **scores}


def output_size(pipeline: Pipeline, trajectory, layer: unet.Layer) -> float:
    """Root mean square of the layer's output at the timestep that is pushed."""
    source, hook = pipeline.source, OutputSize(layer)
    noises, sigmas = noise_levels(source.model, trajectory, 0, PRESETS[PRESET])

    def work(x0, predict):
        return predict(sample_level(x0, sigmas[0], noises[0].to(x0)), sigmas[0], hook)

    run_session(source.model, source.conditioning, trajectory.latent, work)
    return hook.size


class OutputSize:
    """Hook of one evaluation: the root mean square of what one cross-attention layer puts out."""

    def __init__(self, layer: unet.Layer):
        self.layer, self.size = layer, float("nan")

    def install(self, transformer_options) -> None:
        transformer_options.setdefault("patches", {}).setdefault("attn2_output_patch", []).append(self.measure)

    def measure(self, n, options):
        block, number = options["block"]
        if unet.Layer(block, number, options.get("block_index", 0)) == self.layer:
            self.size = float(loudness(n))
        return n


def table(logs: dict[str, list[Row]]) -> str:
    tried = " | ".join(f"{each:g}" for each in LAMBDAS)
    lines = [
        f"Preset {PRESET}; the mean of ARI and boundary F at every lambda, the best one, and the best one in units of "
        "the layer's output (its root mean square in the unmodulated run at t_m).",
        "",
        f"| model | layer | output | {tried} | best lambda | in units of the output |",
        "|---" * (5 + len(LAMBDAS)) + "|",
    ]
    best, relative = [], []
    for bed, rows in logs.items():
        for layer in dict.fromkeys(row["layer"] for row in rows):
            of_layer = [row for row in rows if row["layer"] == layer]
            size = float(np.mean([row["output"] for row in of_layer]))
            quality = {each: mean_quality(of_layer, each) for each in LAMBDAS}
            best.append(max(quality, key=quality.__getitem__))
            relative.append(best[-1] / size)
            cells = [f"{value:.3f}" for value in quality.values()]
            lines.append(f"| {bed} | {layer} | {size:.3f} | {' | '.join(cells)} | {best[-1]:g} | {relative[-1]:.0f} |")
    spreads = (np.exp(np.log(each).std()) for each in (best, relative))
    lines += ["", "The best lambdas lie apart by a factor of {:.2f} (one standard deviation), in units of the layer's "
              "output by a factor of {:.2f}.".format(*spreads)]  # fmt: skip
    return "\n".join(lines) + "\n"


def mean_quality(rows: list[Row], strength: float) -> float:
    return float(np.mean([(row["ari"] + row["f2"]) / 2 for row in rows if row["strength"] == strength]))


if __name__ == "__main__":
    main()
