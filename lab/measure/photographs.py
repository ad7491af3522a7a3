"""The pack on photographs with people's regions: coarse masks and presets, rough masks lifted, and single clicks.

  --part segments   every preset beside the bilinear baseline: mIoU, ARI, boundary F (2 pixels of 512)
  --part lifting    five kinds of rough masks of a thing, lifted: IoU with people's masks, and theirs with each other
  --part clicks     a thing pointed at: the segment under a click, what is like one point, like two, in a box

With a small model, or with --checkpoint FILE of Stable Diffusion at the paper's settings. The photographs are not part
of the project: --root FOLDER has coco/, bsds/ and weizmann/, each with NAME.jpg beside NAME.npz (truth [people, H, W]).
Half of them are for choices (--half tuning), figures are from the other. Scores are appended to
demo_output/photographs/MODEL HALF PART.jsonl, so an interrupted run goes on where it stopped. No picture is written.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from pathlib import Path

import numpy as np
import torch

from comfyui.in_process import load_pack, start_host
from measure.log import Row, mean_and_error, measure_missing, publish, read
from measure.metrics import bilinear_labels, iou
from measure.pictures import Pictured
from measure.rough import rough_masks
from measure.timing import PRECISIONS, fastest_precision
from small_model.photographs import FOLDER, HALVES, NoPhotographs, Photograph, names, photograph

start_host()
load_pack()

from emerdiff.emerdiff_ops.modulation import PRESETS

from measure import beds
from measure.clicks import clicked
from measure.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output" / "photographs"
PAGE = ROOT / "docs" / "robustness.md"
SETS = {"segments": ("coco", "bsds"), "lifting": ("weizmann",), "clicks": ("weizmann",)}
FIGURES = {"miou": "mIoU", "ari": "ARI", "ari_parts": "ARI, segments as they are", "f2": "boundary F, 2 px"}


def main() -> int:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if options.publish:
        publish(PAGE, OUTPUT)
        return 0
    bed = beds.chosen(options)
    try:
        listed = {part: spread_out(part, options) for part in options.part}
    except NoPhotographs as reason:
        print(f"No figures: {reason}.", file=sys.stderr)
        return 1
    with torch.inference_mode():
        pipeline = Pipeline(PRECISIONS[fastest_precision()], bed)
        for part, found in listed.items():
            log = OUTPUT / f"{bed.name} {options.half} {part}.jsonl"
            measure = functools.partial(measured, pipeline, PARTS[part], options)
            measure_missing(log, found, measure, options.preset, lambda row: row["preset"], options.minutes)
            report = table(read(log), f"{bed.name}, photographs of the {options.half} half")
            log.with_suffix(".md").write_text(report)
            print(f"{part}\n\n{report}", flush=True)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beds.add_arguments(parser)
    parser.add_argument("--part", choices=SETS, nargs="+", default=list(SETS))
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    parser.add_argument("--half", choices=HALVES, default="reporting")
    parser.add_argument("--preset", choices=PRESETS, nargs="+", default=list(PRESETS))
    parser.add_argument("--count", type=int, default=1000, help="of every set at most so many")
    parser.add_argument("--minutes", type=float, default=1e9, help="start none after so many; run again to go on")
    parser.add_argument("--publish", action="store_true", help="measure nothing, write the tables into the page")
    return parser.parse_args()


def spread_out(part: str, options: argparse.Namespace) -> list[str]:
    """The photographs of a part's sets, the sets in turn."""
    of_sets = [names(options.half, options.root, (each,))[: options.count] for each in SETS[part]]
    return [name for some in itertools.zip_longest(*of_sets) for name in some if name]


def measured(pipeline: Pipeline, part, options: argparse.Namespace, name: str, presets: list[str]) -> list[Row]:
    found = photograph(name, options.root)
    return [{"preset": preset, **row} for preset in presets for row in part(pipeline, found, preset)]


# --- the parts: rows of one photograph by one preset, "case" and figures ---


def segments(pipeline: Pipeline, found: Photograph, preset: str) -> list[Row]:
    """The preset's segments, and beside them its own coarse masks enlarged bilinearly."""
    seen, group = Pictured(found.image, found.truths, found.name.startswith("coco")), found.name.split("/")[0]
    _, _, low_res, labels = pipeline.segmented(found.image, preset)
    cases = {"bilinear": bilinear_labels(low_res.masks[0], found.image.shape[:2]), "lifted": labels}
    return [{"case": f"{group}, {case}", **named(seen.scores(each))} for case, each in cases.items()]


def named(figures: dict[str, float]) -> dict[str, float]:
    return {name: figures[key] for key, name in FIGURES.items()}


def lifting(pipeline: Pipeline, found: Photograph, preset: str) -> list[Row]:
    """Rough masks of what most people drew, before and after; all are lifted one by one."""
    thing, agreement = agreed(found)
    known, rows = pipeline.known(found.image, 0), []
    for kind, rough in rough_masks(thing, seed=0).items():
        lifted = pipeline.lift(found.image, torch.from_numpy(rough)[None], preset, known)[0].numpy() > 0.5
        before, after = (people(each, found) for each in (rough > 0.5, lifted))
        rows.append({"case": kind, "rough mask": before, "lifted": after, "gain": after - before, "people": agreement})
    return rows


def clicks(pipeline: Pipeline, found: Photograph, preset: str) -> list[Row]:
    """A thing pointed at in every way."""
    thing, agreement = agreed(found)
    scores = clicked(pipeline, found.image, thing, lambda mask: people(mask, found), preset)
    return [{"case": "pointed at", **scores, "people": agreement}]


def agreed(found: Photograph) -> tuple[np.ndarray, float]:
    """What most people drew, bool [H, W], and the mean IoU of every person's mask with those of the others."""
    drawn = found.truths > 0
    pairs = [iou(one, other) for one, other in itertools.combinations(drawn, 2)]
    return drawn.mean(0) >= 0.5, float(np.mean(pairs)) if pairs else 1.0


def people(mask: np.ndarray, found: Photograph) -> float:
    """Mean IoU with what every person drew."""
    return float(np.mean([iou(mask, truth > 0) for truth in found.truths]))


PARTS = {"segments": segments, "lifting": lifting, "clicks": clicks}


def table(rows: list[Row], what: str) -> str:
    """A line per preset and case: mean +- standard error over the photographs."""
    figures = [name for name in rows[0] if name not in ("seed", "preset", "case")]
    lines = [
        f"{what}, {len({row['seed'] for row in rows})} of them; mean +- standard error over the photographs.",
        "",
        f"| preset | | {' | '.join(figures)} |",
        "|---" * (2 + len(figures)) + "|",
    ]
    for preset, case in dict.fromkeys((row["preset"], row["case"]) for row in rows):
        group = [row for row in rows if (row["preset"], row["case"]) == (preset, case)]
        cells = [mean_and_error(np.array([row[name] for row in group])) for name in figures]
        lines.append(f"| {preset} | {case} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
