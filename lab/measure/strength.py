"""Whether the right strength (lambda) follows from how large the pushed layer's own output is.

For several cross-attention layers of a model: the root mean square of the layer's output in the unmodulated run at t_m,
and the mean quality of the masks at many lambdas. Were lambda to be given in units of that output, one value would have
to be right everywhere: the table shows how far the best lambdas lie apart, in both units. Scores are appended to
demo_output/strength/MODEL.jsonl, so an interrupted run goes on where it stopped.
"""

from collections.abc import Iterator
from operator import itemgetter

import numpy as np
from emerdiff.emerdiff_ops.attention import root_mean_square
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.emerdiff_ops.schedule import sample_level
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.places import Layer, layer_of
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.modulate import Push, modulate_attention, noise_levels

from measure.log import Row
from measure.pictures import Pictured, Pictures
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import grouped, markdown

LAMBDAS = tuple(2.5 * 2**power for power in range(9))  # 2.5 to 640
PRESET = "balanced"


def main() -> None:
    study = Study("strength", __doc__, Pictures("tuning", 6, ("scenes",)), several=True)
    layers = unet.cross_attention_layers(study.pipeline.source.model)
    wanted = [str(layer) for layer in layers if layer.block != "input"]
    study.measure(measured, table, wanted, itemgetter("layer"))


def measured(pipeline: Pipeline, seen: Pictured, layers: list[str]) -> Iterator[Row]:
    """A row for every layer and lambda: how large the layer's output is, and how good the masks are."""
    features, trajectory = pipeline.features(seen.image, 0, reading=ROBUST)
    masks = cluster_features(features, pipeline.bed.segments)
    for layer in layers:
        size = output_size(pipeline, trajectory, unet.find_layer(pipeline.source.model, layer, last=True))
        for strength in LAMBDAS:
            maps = modulate_attention(pipeline.source, trajectory, masks, Push(PRESET, strength, layer=layer))
            scores = seen.scores(assemble_masks(maps).labels[0].numpy())
            yield {"layer": layer, "output": size, "strength": strength, **scores}


def output_size(pipeline: Pipeline, trajectory, layer: Layer) -> float:
    """Root mean square of the layer's output at the timestep that is pushed."""
    source, hook = pipeline.source, OutputSize(layer)
    noises, sigmas = noise_levels(source.model, trajectory, 0, PRESETS[PRESET])

    def work(x0, predict):
        return predict(sample_level(x0, sigmas[0], noises[0].to(x0)), sigmas[0], hook)

    run_session(source.model, source.conditioning, trajectory.latent, work)
    return hook.size


class OutputSize:
    """Hook of one evaluation: the root mean square of what one cross-attention layer puts out."""

    def __init__(self, layer: Layer):
        self.layer, self.size = layer, float("nan")

    def install(self, transformer_options) -> None:
        transformer_options.setdefault("patches", {}).setdefault("attn2_output_patch", []).append(self.measure)

    def measure(self, n, options):
        if layer_of(options) == self.layer:
            self.size = float(root_mean_square(n))
        return n


def table(rows: list[Row], title: str) -> str:
    lines, best, relative = [], [], []
    for (model, layer), group in grouped(rows, "model", "layer"):
        size = float(np.mean([row["output"] for row in group]))
        quality = {each: mean_quality(group, each) for each in LAMBDAS}
        best.append(max(quality, key=quality.__getitem__))
        relative.append(best[-1] / size)
        cells = [f"{value:.3f}" for value in quality.values()]
        lines.append([model, layer, f"{size:.3f}", *cells, f"{best[-1]:g}", f"{relative[-1]:.0f}"])
    title = (
        f"Preset {PRESET}, {title}; the mean of ARI and boundary F at every lambda, the best one, and the best one in "
        "units of the layer's output (its root mean square in the unmodulated run at t_m)."
    )
    tried = [f"{each:g}" for each in LAMBDAS]
    heads = ["model", "layer", "output", *tried, "best lambda", "in units of the output"]
    spreads = (np.exp(np.log(each).std()) for each in (best, relative))
    apart = (
        "The best lambdas lie apart by a factor of {:.2f} (one standard deviation), in units of the layer's output by "
        "a factor of {:.2f}."
    )
    return f"{markdown(title, heads, lines)}\n{apart.format(*spreads)}\n"


def mean_quality(rows: list[Row], strength: float) -> float:
    return float(np.mean([(row["ari"] + row["f2"]) / 2 for row in rows if row["strength"] == strength]))
