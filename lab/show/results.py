"""What the demo leaves of a picture: its files, one sheet with all of it side by side, a line of the table."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from comfyui.workflow import STAND_INS
from show.sheet import PANEL, Panel, colorized, draw_sheet, enlarged, montage

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output"
CAPTIONS = {  # of the sheet, by file
    "overlay": "EmerDiff, over the input",
    "selection": "Selected",
    "inpainted": "Inpainted: {task.caption}",
    "rough_mask": "A rough mask",
    "lifted": "The rough mask, lifted",
    "pointed": "What is like one point",
    "exact": "The same, lifted",
    "by_word": "By the word: {task.word}",
}


class Picture(NamedTuple):
    name: str
    image: Image.Image
    truth: np.ndarray | None = None  # [H, W]
    words: tuple[str, ...] = ()  # words[i] names region i of the truth
    stand_in: str = STAND_INS["CheckpointLoaderSimple"]  # the node that is there in a checkpoint's place


class Segments(NamedTuple):
    labels: np.ndarray  # [H, W]
    coarse: np.ndarray  # [H, W], the bilinear baseline
    label_image: Image.Image
    masks: list[Image.Image]
    file_name: str  # of the saved segmentation, for EmerDiffLoad
    seconds: float


class Task(NamedTuple):
    """What to paint over, and with what; how to call it."""

    segments: list[int]
    prompt: str
    caption: str
    word: str


class Row(NamedTuple):
    """What the table says of a picture; scores where its true regions are known, (EmerDiff, bilinear)."""

    scene: str
    segments: int
    seconds: float
    miou: tuple[float, float] | None = None
    ari: tuple[float, float] | None = None


def write(picture: Picture, segments: Segments, task: Task, shown: dict[str, Image.Image], row: Row) -> None:
    """The picture's folder of demo_output/; `shown` are pictures by the names of their files."""
    folder = OUTPUT / picture.name
    shutil.rmtree(folder, ignore_errors=True)
    for name, images in (("masks", segments.masks), ("coarse", masks_of(segments.coarse, len(segments.masks)))):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(folder / name / f"mask_{number:02}.png")
    colorized(segments.coarse).save(folder / "coarse" / "label_image.png")
    for name, image in {"input": picture.image, "label_image": segments.label_image, **shown}.items():
        image.save(folder / f"{name}.png")
    sheet(picture, segments, task, shown, row).save(folder / "sheet.png")


def masks_of(labels: np.ndarray, count: int) -> list[Image.Image]:
    return [Image.fromarray(np.uint8(255) * (labels == number)) for number in range(count)]


def sheet(picture: Picture, segments: Segments, task: Task, shown: dict[str, Image.Image], row: Row) -> Image.Image:
    large = enlarged(picture.image)
    known = [] if picture.truth is None else [Panel("True regions", enlarged(colorized(picture.truth)))]
    span = 1 if known else 2
    first, *others = (
        Panel(caption.format(task=task), enlarged(shown[name])) for name, caption in CAPTIONS.items() if name in shown
    )
    panels = [
        Panel("Input", large),
        *known,
        Panel("Coarse masks, bilinear", enlarged(colorized(segments.coarse))),
        Panel("EmerDiff", enlarged(segments.label_image)),
        first,
        Panel(f"Its {len(segments.masks)} masks", montage(segments.masks, span * PANEL, large.height), span),
        *others,
    ]
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
