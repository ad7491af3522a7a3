"""Time, work and memory of every preset against the plain procedure, side by side in one run.

Plain is the paper's procedure without any shared work: every variant alone, batch 1, the whole UNet, attention maps
recorded and put back. Jobs take turns, so that whatever else the machine does meets all of them alike. Each part
leaves its table in demo_output/benchmark/.

  --part small     complete runs of the small trained model
  --part full      Stable Diffusion 1.5 at full size, random weights: a variant and step, and the decoder
  --part complete  the same, complete runs; for a GPU
  --part click     from picture to draft and from click to mask, beside lifting every segment, small and full size
  --part outside   everything outside the network, step by step, from 512 to 4096 pixels, 20 and 60 segments
  --part widget    how soon the click widget answers on a large picture, in Chromium
  --part guard     under half a minute: fails when the exact path has lost a third of its advantage over plain
  --publish        write docs/measured/benchmark.md of all tables there are
"""

import argparse
import datetime
import platform
import sys
from functools import partial
from pathlib import Path

import comfy.model_management
import torch
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.values import Source

from measure.jobs import pipeline, plain_pipeline, scene_image, table, whole_jobs
from measure.log import publish
from measure.speed_click import click
from measure.speed_full_size import complete, full
from measure.speed_outside import outside
from measure.speed_widget import widget
from measure.timing import PRECISIONS, compare, fastest_precision
from small_model.model import load
from small_model.settings import SEGMENTS, STRENGTH

ROOT = Path(__file__).resolve().parents[2]
PAGE, OUTPUT = ROOT / "docs" / "measured" / "benchmark.md", ROOT / "demo_output" / "benchmark"
FEW_LEVELS = 81  # a timestep: 5 of the paper's 15 steps
GUARD_SEGMENTS = 6
GUARD_ATTEMPTS = 3  # other work on the machine can spoil one measurement; code that has become slow fails them all
RECORDED = {"fp32": 1.9, "bf16": 1.66, "fp16": 1.66}  # times as fast as plain in the guard's work, the least seen


def main() -> None:
    options = parse()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for part in options.part:
            report = f"{heading()}\n\n{PARTS[part](options).rstrip()}\n"
            (OUTPUT / f"{part}.md").write_text(report)
            print(report, flush=True)
    if options.publish:
        publish(PAGE, "benchmark", __doc__ or "", OUTPUT)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=["small", "full"])
    parser.add_argument("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pixels", type=int, nargs="+", default=[512, 768], help="for the part complete")
    parser.add_argument("--segments", type=int, nargs="+", default=[20, 30], help="for the part complete")
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    options.precision = options.precision or fastest_precision()
    return options


def heading() -> str:
    device = comfy.model_management.get_torch_device()
    cores = f"{torch.get_num_threads()} processor cores ({torch.backends.cpu.get_cpu_capability()})"
    name = torch.cuda.get_device_name() if device.type == "cuda" else cores
    return f"{datetime.date.today()}, {name}, {platform.machine()}, PyTorch {torch.__version__.split('+')[0]}."


def small(options) -> str:
    """Seconds of a whole segmentation of one scene by the small model, plain and by every preset."""
    dtype = PRECISIONS[options.precision]
    works = compare(whole_jobs(Source(*load(dtype)), scene_image(), SEGMENTS, 0, STRENGTH), options.rounds)
    return f"**K = {SEGMENTS}, {options.precision}** {table(works, dtype)}"


def guard(options) -> str:
    """The exact path against plain on the small model; ends with exit code 1 when it lost a third of its advantage."""
    dtype = PRECISIONS[options.precision]
    source, image = Source(*load(dtype)), scene_image()
    jobs = {
        "plain": partial(plain_pipeline, source, image, GUARD_SEGMENTS, start=FEW_LEVELS),
        "exact": partial(pipeline, source, image, Push(strength=STRENGTH, timestep=FEW_LEVELS), GUARD_SEGMENTS),
    }
    recorded = RECORDED[options.precision]
    least = 1 + (recorded - 1) * 2 / 3
    for _ in range(GUARD_ATTEMPTS):
        works = compare(jobs, 3)
        ratio = works["plain"].median / works["exact"].median
        print(f"exact path: {ratio:.2f} times as fast as plain; recorded {recorded}, at least {least:.2f} wanted")
        if ratio >= least:
            return table(works, dtype)
    sys.exit(1)


PARTS = {
    "small": small, "full": full, "complete": complete, "click": click,
    "outside": outside, "widget": widget, "guard": guard,
}  # fmt: skip
