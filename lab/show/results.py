"""What the demo leaves of a picture: its files, and one sheet with all of it side by side."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from comfyui.workflow import STAND_INS
from show.sheet import Panel, colorized, enlarged, sheet

OUTPUT = Path(__file__).resolve().parents[2] / "demo_output"
COLUMNS = 4  # of the sheet
CAPTIONS = {  # of the sheet, by file
    "overlay": "EmerDiff, over the input",
    "selection": "Selected",
    "inpainted": "Inpainted: {task.caption}",
    "rough_mask": "A rough mask",
    "lifted": "The rough mask, lifted",
    "pointed": "What one point means",
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


def write(picture: Picture, segments: Segments, task: Task, shown: dict[str, Image.Image]) -> None:
    """The picture's folder of demo_output/; `shown` are pictures by the names of their files."""
    folder = OUTPUT / picture.name
    shutil.rmtree(folder, ignore_errors=True)
    coarse = [Image.fromarray(np.uint8(255) * (segments.coarse == number)) for number in range(len(segments.masks))]
    for name, images in (("masks", segments.masks), ("coarse", coarse)):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(folder / name / f"mask_{number:02}.png")
    colorized(segments.coarse).save(folder / "coarse" / "label_image.png")
    for name, image in {"input": picture.image, "label_image": segments.label_image, **shown}.items():
        image.save(folder / f"{name}.png")
    each = panels(picture, segments, task, shown)
    sheet([each[at : at + COLUMNS] for at in range(0, len(each), COLUMNS)]).save(folder / "sheet.png")


def panels(picture: Picture, segments: Segments, task: Task, shown: dict[str, Image.Image]) -> list[Panel]:
    known = [] if picture.truth is None else [Panel("True regions", enlarged(colorized(picture.truth)))]
    return [
        Panel("Input", enlarged(picture.image)),
        *known,
        Panel("Coarse masks, bilinear", enlarged(colorized(segments.coarse))),
        Panel(f"EmerDiff, {len(segments.masks)} masks", enlarged(segments.label_image)),
        *(Panel(text.format(task=task), enlarged(shown[name])) for name, text in CAPTIONS.items() if name in shown),
    ]
