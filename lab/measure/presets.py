"""The presets: quality against cost, on any model and four kinds of pictures.

Gains are over the baseline, features read plainly as in the paper and enlarged bilinearly; the paper's own way is the
measure. Costs are those of Stable Diffusion 1.5 at 512 px with K = 20. The code that found the presets is at 9bbaf25.

Every picture's scores are appended to demo_output/pareto/HALF presets.jsonl, so an interrupted run goes on where it
stopped. The table is of all models that there are scores of; `--minutes 0` measures nothing.
"""

from collections.abc import Iterator
from operator import itemgetter

from emerdiff.emerdiff_ops.modulation import PRESETS, modulation_levels
from emerdiff.emerdiff_ops.schedule import timestep_grid
from emerdiff.nodes.steps.extract import PLAIN, ROBUST, reading_of
from emerdiff.nodes.steps.read_out import READOUTS

from measure.log import Row, item_of, mean_and_error
from measure.metrics import CALLED, bilinear_labels
from measure.pictures import Pictured, Pictures
from measure.pipeline import Pipeline
from measure.study import Study
from measure.tables import grouped, markdown, paired

METRICS = {name: CALLED[name] for name in ("miou", "ari", "f2")}
# TFLOP at 512 px, counted: one evaluation, what follows the modulated layer, one decoding; features read plainly, and
# with surroundings and mirrored (two halves of an evaluation, of 768 px). The encoding that all share is left out.
UNET, AFTER_LAYER, DECODER, MASKS = 0.80, 0.36, 2.48, 20
READING = {PLAIN: 0.32, ROBUST: 2 * 0.85}
BASELINE, PAPER = "baseline", "paper"


def main() -> None:
    study = Study("pareto", __doc__, Pictures("reporting", 4), several=True)
    study.measure(measured, table, (BASELINE, *PRESETS), itemgetter("setting"), "presets")


def measured(pipeline: Pipeline, seen: Pictured, names: list[str]) -> Iterator[Row]:
    """A row for every preset, and the baseline's."""
    for name in names:
        if name == BASELINE:
            labels = bilinear_labels(pipeline.coarse(seen.image).masks[0], seen.image.shape[:2])
        else:
            labels = pipeline.segmented(seen.image, name).labels
        yield {"setting": name, **seen.scores(labels)}


def cost(name: str) -> float:
    """TFLOP of a picture: its features, the variants from the pushed layer on, the later levels, what is decoded."""
    preset, reading, variants = PRESETS[name], READING[reading_of(name)], 2 * MASKS
    if not preset.lifts:
        return reading
    levels = len(modulation_levels(timestep_grid(50), preset.timestep, preset.steps))
    evaluations = UNET + variants * AFTER_LAYER + (levels - 1) * (variants + 1) * UNET
    return reading + evaluations + DECODER * READOUTS[preset.readout].decodings(MASKS)


def table(rows: list[Row], title: str) -> str:
    """A table for each model and kind: gain over the baseline, and the share of what the paper's way gains there."""
    sections = []
    for (model, kind), of_kind in grouped(rows, "model", "kind"):
        of_preset = {name: group for (name,), group in grouped(of_kind, "setting")}
        lines = [line(name, of_preset) for name in sorted(of_preset.keys() - {BASELINE}, key=cost)]
        heads = ["preset", "cost, TFLOP", "pictures", *METRICS.values()]
        sections.append(markdown(f"**{model}, {kind}**", heads, lines))
    gains = "gain over the baseline, paired, +- standard error, and the share of the paper's on the same pictures"
    return "\n".join([f"{title}; {gains}.\n", *sections])


def line(name: str, of_preset: dict[str, list[Row]]) -> list:
    """Name, cost, number of pictures, and the gains, of a preset among those of one model and kind."""
    group, baseline = of_preset[name], of_preset[BASELINE]
    items, cells = {item_of(row) for row in group}, []
    paper = [row for row in of_preset.get(PAPER, []) if item_of(row) in items]
    for metric in METRICS:
        share = (
            paired(group, baseline, metric).mean() / paired(paper, baseline, metric).mean() if paper else float("nan")
        )
        cells.append(f"{mean_and_error(paired(group, baseline, metric), '+')} ({share:.2f})")
    return [name, f"{cost(name):.0f}", len(group), *cells]
