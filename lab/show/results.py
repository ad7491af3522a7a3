"""What the demo leaves of a picture: its files, one sheet with all of it side by side, a line of the table."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from show.sheet import PANEL, Panel, colorized, draw_sheet, enlarged, montage

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output"


class Picture(NamedTuple):
    name: str
    image: Image.Image
    truth: np.ndarray | None = None  # [H, W]
    words: tuple[str, ...] = ()  # words[i] names region i of the truth
    large: Image.Image | None = None  # the same in more pixels, for the small Flux, whose tokens have 16 a side


class Segments(NamedTuple):
    labels: np.ndarray  # [H, W]
    coarse: np.ndarray  # [H, W], the bilinear baseline
    label_image: Image.Image
    masks: list[Image.Image]
    file_name: str  # of the saved segmentation, for EmerDiffLoad
    seconds: float


class Inpainting(NamedTuple):
    overlay: Image.Image  # all segments, numbered
    selection: Image.Image
    result: Image.Image
    caption: str


class Picked(NamedTuple):
    """Other ways to the same thing: from a rough mask, from a point, and by a word."""

    rough: Image.Image
    lifted: Image.Image
    pointed: Image.Image
    exact: Image.Image
    by_word: Image.Image
    word: str
    drafted: Image.Image | None = None  # of scenes: by the small Flux
    clicked: Image.Image | None = None


class Row(NamedTuple):
    """What the table says of a picture; scores where its true regions are known, (EmerDiff, bilinear)."""

    scene: str
    segments: int
    seconds: float
    miou: tuple[float, float] | None = None
    ari: tuple[float, float] | None = None


def write(picture: Picture, segments: Segments, painted: Inpainting, picked: Picked, row: Row) -> None:
    """The picture's folder of demo_output/."""
    folder = OUTPUT / picture.name
    shutil.rmtree(folder, ignore_errors=True)
    for name, images in (("masks", segments.masks), ("coarse", masks_of(segments.coarse, len(segments.masks)))):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(folder / name / f"mask_{number:02}.png")
    picture.image.save(folder / "input.png")
    colorized(segments.coarse).save(folder / "coarse" / "label_image.png")
    painted.overlay.save(folder / "overlay.png")
    segments.label_image.save(folder / "label_image.png")
    painted.selection.save(folder / "selection.png")
    painted.result.save(folder / "inpainted.png")
    picked.rough.save(folder / "rough_mask.png")
    picked.lifted.save(folder / "lifted.png")
    picked.pointed.save(folder / "pointed.png")
    picked.exact.save(folder / "exact.png")
    picked.by_word.save(folder / "by_word.png")
    if picked.drafted and picked.clicked:
        picked.drafted.save(folder / "drafted.png")
        picked.clicked.save(folder / "clicked.png")
    sheet(picture, segments, painted, picked, row).save(folder / "sheet.png")


def masks_of(labels: np.ndarray, count: int) -> list[Image.Image]:
    return [Image.fromarray(np.uint8(255) * (labels == number)) for number in range(count)]


def sheet(picture: Picture, segments: Segments, painted: Inpainting, picked: Picked, row: Row) -> Image.Image:
    shown = enlarged(picture.image)
    known = [] if picture.truth is None else [Panel("True regions", enlarged(colorized(picture.truth)))]
    span = 1 if known else 2
    masks = montage(segments.masks, span * PANEL, shown.height)
    panels = [
        Panel("Input", shown),
        *known,
        Panel("Coarse masks, bilinear", enlarged(colorized(segments.coarse))),
        Panel("EmerDiff", enlarged(segments.label_image)),
        Panel("EmerDiff, over the input", enlarged(painted.overlay)),
        Panel(f"Its {len(segments.masks)} masks", masks, span),
        Panel("Selected", enlarged(painted.selection)),
        Panel(f"Inpainted: {painted.caption}", enlarged(painted.result)),
        Panel("A rough mask", enlarged(picked.rough)),
        Panel("The rough mask, lifted", enlarged(picked.lifted)),
        Panel("What is like one point", enlarged(picked.pointed)),
        Panel("The same, lifted", enlarged(picked.exact)),
        Panel(f"By the word: {picked.word}", enlarged(picked.by_word)),
    ]
    if picked.drafted and picked.clicked:
        panels += [Panel("A transformer's draft", enlarged(picked.drafted)), Panel("A click", enlarged(picked.clicked))]
    return draw_sheet(row.scene, "   ".join(facts(row)), panels)


def facts(row: Row) -> list[str]:
    figures = {"mIoU": row.miou, "ARI": row.ari}
    measured = [f"{name} {pair[0]:.2f} (bilinear {pair[1]:.2f})" for name, pair in figures.items() if pair]
    return [f"{row.segments} segments", f"{row.seconds:.1f} s", *measured]


def table(rows: list[Row]) -> str:
    """For the terminal: a line a picture, and the mean where there are scores."""
    lines = [f"{'scene':24}{'segments':>10}{'seconds':>9}{'mIoU':>8}{'bilinear':>10}{'ARI':>8}{'bilinear':>10}"]
    figures = [[*(row.miou or ()), *(row.ari or ())] for row in rows]
    for row, measured in zip(rows, figures):
        lines.append(f"{row.scene:24}{row.segments:>10}{row.seconds:>9.1f}" + columns(measured))
    scored = [measured for measured in figures if measured]
    if len(scored) > 1:
        lines.append(f"{'mean':43}" + columns(np.mean(scored, 0)))
    return "\n".join(lines)


def columns(figures) -> str:
    return "".join(f"{figure:{width}.3f}" for figure, width in zip(figures, (8, 10, 8, 10)))
