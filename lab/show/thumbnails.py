"""The .jpg beside each workflow, the README's pictures and some of the help pages', from what other commands left.

python3 lab/run.py demo; python3 lab/run.py evaluate; python3 lab/run.py test --tier browser
python3 lab/run.py test tests/server/test_video_workflow.py
python3 lab/run.py thumbnails
Square, because the front end's list of templates shows squares; photographs are whole in them.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

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
from show.on_photographs import LEFT, folder_of, panels_of
from show.sheet import BACKGROUND, strip

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "nodes" / "web" / "docs" / "images"
OUTPUT = ROOT / "demo_output"
SIDE = 512
GAP = 8
LEANS = 60  # pixels to either side that a slanted cut leaves the middle
WIDGET = ROOT / "test_output" / "browser" / "points-vue-newest.png"
NODE_IN_IT = (410, 75, 725, 640)
FRAMES = ROOT / "test_output" / "video"  # what the server's tests left
LARGEST = 100_000  # bytes
SHOWN = {
    SEGMENT: ["input", "overlay"],
    STEPS: ["input", "coarse", "label_image", "overlay"],
    INPAINT: ["input", "overlay", "selection", "painted"],
    CLICK: ["input", "painted"],
    REFINE: ["input", "rough_mask", "lifted", "cut_out"],
    POINT: ["input", "pointed", "exact", "cut_out"],
    ANY_MODEL: ["input", "overlay"],
    Z_IMAGE: ["input", "painted"],
    QWEN_EDIT: [f"{folder_of(Z_IMAGE)}/{name}" for name in ("overlay", "painted")],
    KLEIN: [f"{folder_of(Z_IMAGE)}/{name}" for name in ("selection", "painted")],
    WORD_WITH_FLUX: [f"{OUTPUT}/scene_10000002/{name}" for name in ("input", "by_word")],
    VIDEO: [f"{FRAMES}/{name}" for name in ("frame_0", "frame_11", "result_0", "result_11")],
    COMPARE: ["by_draft", "by_fast", "by_balanced", "by_paper"],
    WORD: [f"{OUTPUT}/scene_10000002/{name}" for name in ("by_word", "inpainted")],  # where the word finds its object
}
HELP = {  # by node: what of which workflow shows it on its help page
    "SegmentImage": (SEGMENT, {"input": "picture", "overlay": "segmentation", "label_image": "label_image"}),
    "LiftMask": (REFINE, {"rough_mask": "rough mask", "lifted": "mask", "soft": "soft_mask"}),
    "CutOut": (REFINE, {"lifted": "mask", "cut_out": "image"}),
}


def main() -> None:
    for workflow, names in SHOWN.items():
        images = [Image.open(folder_of(workflow) / f"{name}.png").convert("RGB") for name in names]
        path = WORKFLOWS / f"{workflow}.jpg"
        thumbnail(images).save(path, quality=85)
        print(f"{path.name}: {path.stat().st_size} bytes")
        if path.stat().st_size > LARGEST:
            sys.exit(f"{path} is larger than {LARGEST} bytes")
    shutil.copy(LEFT / "sheet.png", ROOT / "docs" / "images" / "demo.png")
    shutil.copy(OUTPUT / "evaluate" / "figure.png", ROOT / "docs" / "images" / "evaluation.png")
    for node, shown in HELP.items():
        strip(panels_of(*shown)).save(PAGES / f"EmerDiff{node}.jpg", quality=85)
    click_widget()


def thumbnail(images: list[Image.Image]) -> Image.Image:
    """Two pictures of a landscape one above the other, of what is square in one across a cut; four in quarters."""
    if len(images) == 4:
        return quarters(images)
    width, height = images[0].size
    return stacked(*images) if width > 1.2 * height else cut_across(*images)


def click_widget() -> None:
    """The node with something picked, as a browser test left it."""
    node = Image.open(WIDGET).convert("RGB").crop(NODE_IN_IT)
    node.save(ROOT / "docs" / "images" / "click.png")
    node.save(PAGES / "EmerDiffSelectSegments.jpg", quality=88)


def stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Two pictures whole, one above the other."""
    sheet, height = Image.new("RGB", (SIDE, SIDE), BACKGROUND), (SIDE - GAP) // 2
    for row, image in enumerate((upper, lower)):
        sheet.paste(
            ImageOps.pad(image, (SIDE, height), Image.Resampling.LANCZOS, BACKGROUND), (0, row * (height + GAP))
        )
    return sheet


def cut_across(before: Image.Image, after: Image.Image) -> Image.Image:
    """The left of one picture and the right of the other, whole together, along a slanted line."""
    left, right = (ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS) for image in (before, after))
    height, middle = left.height, left.width // 2
    part = Image.new("L", left.size)
    line = [(middle + LEANS, 0), (middle - LEANS, height)]
    ImageDraw.Draw(part).polygon([(0, 0), *line, (0, height)], 255)
    whole = Image.composite(left, right, part)
    ImageDraw.Draw(whole).line(line, "white", 3)
    return ImageOps.pad(whole, (SIDE, SIDE), color=BACKGROUND)


def quarters(images: list[Image.Image]) -> Image.Image:
    """Four pictures whole, row by row."""
    side = (SIDE - GAP) // 2
    sheet = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        whole = ImageOps.pad(image, (side, side), Image.Resampling.LANCZOS, BACKGROUND)
        sheet.paste(whole, (column * (side + GAP), row * (side + GAP)))
    return sheet
