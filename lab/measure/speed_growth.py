"""How true the time left is, and how time grows."""

from functools import partial
from pathlib import Path
from unittest import mock

import matplotlib
import numpy as np
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.host.progress import Progress
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.values import Source

from measure.jobs import pipeline, scene_image
from measure.tables import markdown
from measure.timing import PRECISIONS, compare
from small_model.model import load
from small_model.settings import STRENGTH

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output" / "benchmark"
FEW_LEVELS = 81  # a timestep: 5 of the paper's 15 steps


# --- the time left ---


def progress(options) -> str:
    """How far the announced time left is from the true one, between the first tenth of a run and its last."""
    source, image = Source(*load(PRECISIONS[options.precision])), scene_image()
    lines = []
    for name in (name for name, preset in PRESETS.items() if preset.lifts):
        announced = announcements(partial(pipeline, source, image, Push(name, STRENGTH), segments=30, rows=9))
        end = announced[-1][0]
        middle = [(now, left) for now, left in announced if 0.1 < now / end < 0.9]
        errors = [abs(left - (end - now)) / (end - now) for now, left in middle]
        lines.append([name, f"{end:.1f}", len(errors), f"{np.median(errors):.0%}", f"{max(errors):.0%}"])
    heads = ["preset", "seconds", "announcements", "median error of the time left", "largest"]
    return markdown("The time left, as announced:", heads, lines)


def announcements(job) -> list[tuple[float, float]]:
    """(seconds since the begin, seconds announced to be left) at every step of the modulation's progress bar."""
    seen, step = [], Progress.step

    def recording(self, *args, **kwargs):
        step(self, *args, **kwargs)
        if "decoding" in self.clock.planned:
            seen.append((self.last - self.begin, self.clock.left()))

    with mock.patch.object(Progress, "step", recording):
        job()
    return seen


# --- growth ---


def growth(options) -> str:
    """Log-log slopes of the time over segments, pixels and pictures, by a few of the paper's levels, and a plot."""
    source, image = Source(*load(PRECISIONS[options.precision])), scene_image()
    few, fewest = (Push(strength=STRENGTH, timestep=timestep) for timestep in (FEW_LEVELS, 21))
    run = partial(pipeline, source)
    series = {
        "segments": {k: partial(run, image, few, segments=k) for k in (5, 10, 20, 40, 60)},
        "side in pixels": {
            side: partial(run, scene_image(side), fewest, segments=2, resolution=side) for side in (256, 512, 1024)
        },
        "pictures": {n: partial(run, image.repeat(n, 1, 1, 1), few, segments=5) for n in (1, 2, 4, 8)},
    }
    medians = {
        title: {value: work.median for value, work in compare(jobs, max(1, options.rounds // 3)).items()}
        for title, jobs in series.items()
    }
    plot(medians)
    lines = [f"Small model, 5 of the paper's 15 levels (2 for the sides), {options.precision}:", ""]
    for title, points in medians.items():
        slope = np.polyfit(np.log(list(points)), np.log(list(points.values())), 1)[0]
        seconds = ", ".join(f"{value}: {taken:.2f} s" for value, taken in points.items())
        lines.append(f"- {title}: time grows with power {slope:.2f} ({seconds})")
    return "\n".join([*lines, "", "![Seconds against segments, pixels and pictures](../images/growth.png)"])


def plot(medians: dict[str, dict[int, float]]) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(medians), figsize=(11, 3.5))
    for axis, (title, points) in zip(axes, medians.items()):
        axis.loglog(list(points), list(points.values()), "o-")
        axis.set(xlabel=title, ylabel="seconds")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(OUTPUT / "growth.png", dpi=110)
