"""The plot of the search for presets: what every setting gains, against what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib

Key = tuple[str, str]  # setting, readout
COARSE = "along the borders"  # the readout of what is not lifted


class Point(NamedTuple):
    cost: float
    gains: Mapping[str, float]  # by metric


def plot(points: Mapping[Key, Point], presets: Mapping[Key, str], metrics: Mapping[str, str], path: Path) -> None:
    """Gain against cost, a panel a metric: points by setting and readout."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {"pairs": "tab:blue", "halfway": "tab:cyan", "latents": "tab:orange"}
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 5.5), sharex=True)
    for axis, metric in zip(axes, metrics):
        for key, each in points.items():
            point = each.cost, each.gains[metric]
            axis.plot(*point, "o", color=colours.get(key[1].removesuffix(", prior"), "tab:gray"), alpha=0.5, ms=5)
            if key in presets:
                axis.plot(*point, "*", color="tab:red", ms=15)
                axis.annotate(presets[key], point, xytext=(0, 9), textcoords="offset points", ha="center")
        axis.set(xscale="log", xlim=(0.2, 1500), xlabel="TFLOP an image (SD1.5, 512 px, K = 20)", title=metrics[metric])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("gain over bilinear masks, mean of the kinds, on the worse model")
    for name, colour in {**colours, COARSE: "tab:gray"}.items():
        if any(key[1].removesuffix(", prior") == name for key in points):
            axes[1].plot([], [], "o", color=colour, label=name)
    axes[1].legend(loc="center right", title="compared are")
    figure.suptitle("Every setting tried; stars: the presets")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
