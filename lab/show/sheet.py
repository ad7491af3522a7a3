"""One picture that shows a whole result: panels with captions, side by side."""

import math
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.colors import colorize
from PIL import Image, ImageDraw, ImageFont

PANEL = 320  # pixels, the longer side
GAP = 16
CAPTION = 34
COLUMNS = 4
SQUARE = 16  # pixels, of the ground that stands for transparency
FONT = ImageFont.load_default(18)
BACKGROUND, TEXT, FAINT = "#14161a", "#f2f2f2", "#9aa0a8"


class Panel(NamedTuple):
    caption: str
    image: Image.Image
    columns: int = 1


def colorized(labels: np.ndarray) -> Image.Image:
    """Labels [H, W] in the colours that the nodes give the same numbers."""
    return to_image(colorize(torch.as_tensor(np.asarray(labels, np.int16))[None])[0].numpy())


def to_image(array: np.ndarray) -> Image.Image:
    """[H, W, 3] in 0..1 as a picture."""
    return Image.fromarray((np.clip(array, 0, 1) * 255).round().astype(np.uint8))


def opaque(image: Image.Image) -> Image.Image:
    """The picture; where it is transparent, grey squares behind it."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    rows, columns = np.indices(image.size[::-1]) // SQUARE
    ground = Image.fromarray(np.uint8(140 + 50 * ((rows + columns) % 2))).convert("RGB")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def enlarged(image: Image.Image, longer_side: int = PANEL) -> Image.Image:
    """Scaled to the longer side asked; small pictures keep their pixels visible as squares."""
    scale = longer_side / max(image.size)
    method = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return image.resize([max(1, round(side * scale)) for side in image.size], method)


def montage(images: list[Image.Image], width: int, height: int, gap: int = 6) -> Image.Image:
    """Small pictures of one size in the grid that shows them largest inside width x height."""
    count, aspect = len(images), images[0].height / images[0].width

    def tile(columns: int) -> float:
        rows = math.ceil(count / columns)
        return min((width + gap) / columns - gap, ((height + gap) / rows - gap) / aspect)

    columns = max(range(1, count + 1), key=tile)
    across = int(tile(columns))
    down = int(across * aspect)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    for index, image in enumerate(images):
        at = (index % columns * (across + gap), index // columns * (down + gap))
        sheet.paste(image.resize((across, down), Image.Resampling.BILINEAR), at)
    return sheet


def shortened(text: str, width: int) -> str:
    """The text, cut where it would be wider than `width` pixels."""
    if FONT.getlength(text) <= width:
        return text
    while FONT.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def draw_sheet(title: str, subtitle: str, panels: list[Panel]) -> Image.Image:
    """All panels, COLUMNS in a row, under a title."""
    height = max(panel.image.height for panel in panels)
    places, column, row = [], 0, 0
    for panel in panels:
        if column + panel.columns > COLUMNS:
            column, row = 0, row + 1
        places.append((column, row))
        column += panel.columns
    head = 3 * GAP + 44
    step = height + CAPTION + GAP
    sheet = Image.new("RGB", (COLUMNS * (PANEL + GAP) + GAP, head + (row + 1) * step), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, TEXT, ImageFont.load_default(28))
    draw.text((GAP, GAP + 36), subtitle, FAINT, ImageFont.load_default(17))
    for panel, (column, row) in zip(panels, places):
        x, y = GAP + column * (PANEL + GAP), head + row * step
        draw.text((x, y), shortened(panel.caption, panel.image.width), TEXT, FONT)
        sheet.paste(panel.image, (x, y + CAPTION - 6))
    return sheet


def strip(panels: list[Panel]) -> Image.Image:
    """Panels in one row, each under its caption."""
    height = max(panel.image.height for panel in panels)
    sheet = Image.new("RGB", (len(panels) * (PANEL + GAP) + GAP, height + CAPTION + GAP), BACKGROUND)
    for index, panel in enumerate(panels):
        x = GAP + index * (PANEL + GAP)
        ImageDraw.Draw(sheet).text((x, 8), panel.caption, TEXT, FONT)
        sheet.paste(panel.image, (x, CAPTION))
    return sheet
