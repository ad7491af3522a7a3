"""One picture that shows a whole result: panels with captions, side by side."""

from textwrap import shorten
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.colors import colorize
from PIL import Image, ImageDraw, ImageFont

PANEL = 320  # pixels, the longer side
GAP = 16
CAPTION = 34
SQUARE = 16  # pixels, of the ground that stands for transparency
FONT = ImageFont.load_default(18)
BACKGROUND, TEXT = "#14161a", "#f2f2f2"


class Panel(NamedTuple):
    caption: str
    image: Image.Image


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


def sheet(rows: list[list[Panel]], side: int = PANEL) -> Image.Image:
    """Rows of panels, one below the other."""
    strips = [strip(panels, side) for panels in rows]
    whole = Image.new("RGB", (max(each.width for each in strips), sum(each.height for each in strips)), BACKGROUND)
    for number, each in enumerate(strips):
        whole.paste(each, (0, sum(above.height for above in strips[:number])))
    return whole


def strip(panels: list[Panel], side: int = PANEL) -> Image.Image:
    """Panels of at most this width in one row, each under its caption."""
    height = max(panel.image.height for panel in panels)
    row = Image.new("RGB", (len(panels) * (side + GAP) + GAP, height + CAPTION + GAP), BACKGROUND)
    for index, panel in enumerate(panels):
        x = GAP + index * (side + GAP)
        ImageDraw.Draw(row).text((x, 8), shorten(panel.caption, side // 9, placeholder=" ..."), TEXT, FONT)
        row.paste(panel.image, (x, CAPTION))
    return row
