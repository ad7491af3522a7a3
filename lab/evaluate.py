"""EmerDiff against the bilinear baseline on held-out scenes with known labels, over a sweep of K and lambda.

Every scene's scores are appended to a file as they come, so an interrupted run goes on where it stopped. Ends with
a table (mean and standard error, and the paired gain over the baseline) and a picture of the first scenes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch

from measure import PRECISIONS, fastest_precision
from metrics import bilinear_labels, scores
from pack import load_pack, start_host
from scenes import HELD_OUT, Scene, scene
from small_model.settings import SEGMENTS, STRENGTH

OUTPUT = Path(__file__).parent.parent / "demo_output" / "evaluation"
METRICS = {"miou": "mIoU", "ari": "ARI", "f1": "boundary F, 1 px", "f2": "boundary F, 2 px"}
SETTING = ("preset", "segments", "strength", "timestep", "normalize")


def main() -> None:
    options = parse()
    start_host()
    options.precision = options.precision or fastest_precision()
    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "scores.jsonl"
    settings = [dict(zip(SETTING, values)) for values in itertools.product(*sweep(options))]
    done = finished(log, settings, options.precision)
    with torch.inference_mode():
        pipeline = Pipeline(PRECISIONS[options.precision])
        for number in range(options.scenes):
            seed = options.first + number
            missing = [setting for setting in settings if (seed, *setting.values()) not in done]
            if missing:
                begin = time.monotonic()
                rows = evaluate_scene(pipeline, seed, missing)
                append(log, [{**row, "precision": options.precision} for row in rows])
                print(f"scene {number + 1}/{options.scenes}  {time.monotonic() - begin:.1f} s", flush=True)
        picture(pipeline, options)
    rows = selected(log, settings, options)
    report = table(rows, options)
    (options.output / "table.md").write_text(report)
    print(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=HELD_OUT, help="seed of the first scene")
    parser.add_argument("--preset", nargs="+", default=["paper"])
    parser.add_argument("--segments", type=int, nargs="+", default=[SEGMENTS], help="values of K")
    parser.add_argument("--strength", type=float, nargs="+", default=[STRENGTH], help="values of lambda")
    parser.add_argument("--timestep", type=int, nargs="+", default=[0], help="values of t_m; 0: the preset's own")
    parser.add_argument("--normalize", type=int, nargs="+", default=[0, 1], help="divide each map by its maximum: 0, 1")
    parser.add_argument("--precision", choices=PRECISIONS, help="the faster of fp32 and bf16 unless given")
    parser.add_argument("--pictures", type=int, default=6, help="scenes shown in the picture")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


def sweep(options):
    return options.preset, options.segments, options.strength, options.timestep, options.normalize


class Pipeline:
    """The pack's four steps on the small model."""

    def __init__(self, dtype: torch.dtype):
        load_pack()
        from emerdiff.nodes import assemble, cluster, extract, lift, merge, modulate

        from small_model.model import load

        self.loaders = load(dtype)
        self.extract, self.cluster = extract.extract_features, cluster.cluster_features
        self.modulate, self.assemble = modulate.modulate_attention, assemble.assemble_masks
        self.merge, self.lift_mask = merge.merged, lift.lift_mask

    def features(self, image: np.ndarray, seed: int, resolution: int = 0):
        return self.extract(*self.loaders, torch.from_numpy(image)[None], seed=seed, resolution=resolution)

    def maps(self, trajectory, low_res, preset: str, strength: float, timestep: int):
        push = {"preset": preset, "strength": strength, "modulation_timestep": timestep}
        return self.modulate(*self.loaders, trajectory, low_res, **push)

    def lift(self, image: np.ndarray, masks: torch.Tensor, preset: str, seed: int) -> torch.Tensor:
        return self.lift_mask(*self.loaders, torch.from_numpy(image)[None], masks, preset, seed, strength=STRENGTH)

    def labels(self, maps, normalize: bool) -> np.ndarray:
        return self.assemble(maps, normalize=bool(normalize)).labels[0].numpy()


def evaluate_scene(pipeline: Pipeline, seed: int, settings: list[dict]) -> list[dict]:
    """Scores of the baseline and of EmerDiff on one scene, a row per setting; what settings share is computed once."""
    true = scene(seed)
    features, trajectory = pipeline.features(true.image, seed)
    clusters = functools.cache(lambda segments: pipeline.cluster(features, segments=segments))
    maps = functools.cache(lambda preset, segments, *rest: pipeline.maps(trajectory, clusters(segments), preset, *rest))
    rows = []
    for setting in settings:
        *modulation, normalize = (setting[name] for name in SETTING)
        baseline = bilinear_labels(clusters(setting["segments"]).masks[0], true.labels.shape)
        ours = pipeline.labels(maps(*modulation), normalize)
        row = {"emerdiff": scores(ours, true.labels), "baseline": scores(baseline, true.labels)}
        rows.append({"seed": seed, **setting, **row})
    return rows


def append(log: Path, rows: list[dict]) -> None:
    with log.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def of_precision(log: Path, precision: str) -> list[dict]:
    return [row for row in read(log) if row["precision"] == precision]


def key(row: dict) -> tuple:
    return row["seed"], *(row[name] for name in SETTING)


def finished(log: Path, settings: list[dict], precision: str) -> set[tuple]:
    return {key(row) for row in of_precision(log, precision)}


def selected(log: Path, settings: list[dict], options) -> list[dict]:
    seeds = range(options.first, options.first + options.scenes)
    wanted = {(seed, *setting.values()) for seed in seeds for setting in settings}
    return [row for row in of_precision(log, options.precision) if key(row) in wanted]


def table(rows: list[dict], options) -> str:
    """Markdown: per setting the baseline, EmerDiff and the paired gain, each mean +- standard error."""
    lines = [
        f"{options.scenes} held-out scenes from seed {options.first}, {options.precision}; mean +- standard error; "
        "gain = EmerDiff less baseline, scene by scene.",
        "",
        "| preset | K | lambda | t_m | maps | metric | bilinear baseline | EmerDiff | gain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = itertools.groupby(sorted(rows, key=lambda row: key(row)[1:]), key=lambda row: key(row)[1:])
    for (preset, segments, strength, timestep, normalize), same in groups:
        group, shown = list(same), "normalized" if normalize else "as they are"
        t_m = timestep or "own"
        for metric, name in METRICS.items():
            ours = np.array([row["emerdiff"][metric] for row in group])
            base = np.array([row["baseline"][metric] for row in group])
            cells = [f"{values.mean():+.3f} +- {standard_error(values):.3f}" for values in (base, ours, ours - base)]
            cells[:2] = [cell.lstrip("+") for cell in cells[:2]]
            lines.append(f"| {preset} | {segments} | {strength:g} | {t_m} | {shown} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def picture(pipeline: Pipeline, options) -> None:
    """Scene, true regions, coarse masks, baseline and EmerDiff side by side, as figure.png."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    titles = ["scene", "true regions", "coarse masks", "bilinear baseline", "EmerDiff"]
    figure, axes = pyplot.subplots(options.pictures, 5, figsize=(10, 2.05 * options.pictures), squeeze=False)
    for row, axis_row in enumerate(axes):
        images = pictures(pipeline, scene(options.first + row), options.first + row, options)
        for axis, image, title in zip(axis_row, images, titles):
            axis.imshow(image, interpolation="nearest")
            axis.set_axis_off()
            if row == 0:
                axis.set_title(title)
    first = f"preset {options.preset[0]}, K = {options.segments[0]}, lambda = {options.strength[0]:g}"
    figure.suptitle(first + (", normalized maps" if options.normalize[0] else ""))
    figure.tight_layout()
    figure.savefig(options.output / "figure.png", dpi=110)


def pictures(pipeline: Pipeline, true: Scene, seed: int, options) -> list[np.ndarray]:
    from emerdiff.emerdiff_ops.colors import overlay

    features, trajectory = pipeline.features(true.image, seed)
    low_res = pipeline.cluster(features, segments=options.segments[0])
    maps = pipeline.maps(trajectory, low_res, options.preset[0], options.strength[0], options.timestep[0])
    labels = pipeline.labels(maps, options.normalize[0])
    size = true.labels.shape
    rows, columns = low_res.masks.shape[-2:]
    coarse = bilinear_labels(low_res.masks[0], (rows, columns))
    coarse = coarse.repeat(size[0] // len(coarse), 0).repeat(size[1] // coarse.shape[1], 1)
    image = torch.from_numpy(true.image)[None]
    shown = [true.labels.astype(np.int16), coarse, bilinear_labels(low_res.masks[0], size), labels]
    drawn = [overlay(image, torch.from_numpy(item)[None].to(torch.int16), numbers=False)[0].numpy() for item in shown]
    return [true.image, *drawn]


if __name__ == "__main__":
    main()
