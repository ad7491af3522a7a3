"""The .jpg beside each workflow and the README's pictures, from what demo, evaluation and browser tests left.

python3 lab/run.py demo; python3 lab/run.py evaluate; python3 lab/run.py test --tier browser
python3 lab/run.py test tests/server/test_video_workflow.py
python3 lab/run.py thumbnails demo_output/scene_10000001
Square, because the front end's list of templates shows squares.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image

from comfyui.workflow import (
    ANY_MODEL,
    CLICK,
    COMPARE,
    INPAINT,
    KLEIN,
    POINT,
    QWEN_EDIT,
    REFINE,
    SEGMENT,
    STEPS,
    VIDEO,
    WORD,
    WORD_WITH_FLUX,
    WORKFLOWS,
    Z_IMAGE,
)
from show.sheet import BACKGROUND

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo_output"
SIDE = 512
GAP = 8
WIDGET = ROOT / "test_output" / "browser" / "points-vue.png"
NODE_IN_IT = (410, 75, 725, 620)
FRAMES = ROOT / "test_output" / "video"  # what the server's tests left
LARGEST = 100_000  # bytes
SHOWN = {
    SEGMENT: ["input", "overlay"],
    STEPS: ["input", "coarse/label_image", "label_image", "overlay"],
    INPAINT: ["input", "overlay", "selection", "inpainted"],
    CLICK: ["overlay", "inpainted"],
    REFINE: ["rough_mask", "lifted"],
    POINT: ["pointed", "exact"],
    ANY_MODEL: ["drafted", "clicked"],
    Z_IMAGE: ["clicked", "inpainted"],
    QWEN_EDIT: ["drafted", "inpainted"],
    KLEIN: ["input", "inpainted"],
    WORD_WITH_FLUX: ["drafted", "../scene_10000002/by_word"],
    VIDEO: [f"{FRAMES}/{name}" for name in ("frame_0", "frame_11", "result_0", "result_11")],
    COMPARE: ["by_draft", "by_fast", "by_balanced", "by_paper"],
    WORD: ["../scene_10000002/by_word", "../scene_10000002/inpainted"],  # where the word finds its object
}


def main() -> None:
    folder = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else next(path.parent for path in sorted(OUTPUT.glob("*/sheet.png")))
    )
    for workflow, names in SHOWN.items():
        images = [Image.open(folder / f"{name}.png").convert("RGB") for name in names]
        path = WORKFLOWS / f"{workflow}.jpg"
        (halves(*images) if len(images) == 2 else quarters(images)).save(path, quality=85)
        print(f"{path.name}: {path.stat().st_size} bytes")
        if path.stat().st_size > LARGEST:
            sys.exit(f"{path} is larger than {LARGEST} bytes")

    shutil.copy(folder / "sheet.png", ROOT / "docs" / "images" / "demo.png")
    shutil.copy(OUTPUT / "evaluate" / "figure.png", ROOT / "docs" / "images" / "evaluation.png")
    click_widget()


def click_widget() -> None:
    """The node with something picked, as a browser test left it."""
    node = Image.open(WIDGET).convert("RGB").crop(NODE_IN_IT)
    node.save(ROOT / "docs" / "images" / "click.png")
    node.save(ROOT / "nodes" / "web" / "docs" / "images" / "EmerDiffSelectSegments.jpg", quality=88)


def halves(left: Image.Image, right: Image.Image) -> Image.Image:
    """The middle of one picture beside the middle of the other."""
    width = (SIDE - GAP) // 2
    sheet = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    for index, image in enumerate((left, right)):
        begin = (SIDE - width) // 2
        sheet.paste(squared(image, SIDE).crop((begin, 0, begin + width, SIDE)), (index * (width + GAP), 0))
    return sheet


def quarters(images: list[Image.Image]) -> Image.Image:
    """Four pictures, row by row."""
    side = (SIDE - GAP) // 2
    sheet = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        sheet.paste(squared(image, side), (column * (side + GAP), row * (side + GAP)))
    return sheet


def squared(image: Image.Image, side: int) -> Image.Image:
    """The middle of the picture, as a square; small pictures keep their pixels visible."""
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    method = Image.Resampling.NEAREST if side >= 2 * short else Image.Resampling.LANCZOS
    return image.crop((left, top, left + short, top + short)).resize((side, side), method)
