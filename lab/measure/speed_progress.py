"""How true the announced time left is."""

from functools import partial
from unittest import mock

import numpy as np
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.host.progress import Progress
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.values import Source

from measure.jobs import pipeline, scene_image
from measure.tables import markdown
from measure.timing import PRECISIONS
from small_model.model import load
from small_model.settings import STRENGTH


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
