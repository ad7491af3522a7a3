"""The registry's icon and banner: the same three things as coarse cells and as exact masks, side by side."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
ICON = 400  # pixels a side: the most that the registry takes
BANNER = (1260, 540)  # 21:9
CELLS = 16  # of the icon's side, as a UNet's coarsest grid
FINER = 4  # times, drawn larger and made smaller: smooth borders
NIGHT, SKY, GROUND, BALL, STAR, LINE = "#14161c", "#5b7fb5", "#3d6b58", "#e08a5b", "#f0c75e", "#f7f5ef"


def main() -> None:
    icon = motif(ICON)
    icon.save(IMAGES / "icon.png", optimize=True)
    banner(motif(BANNER[1] - 80)).save(IMAGES / "banner.png", optimize=True)


def motif(side: int) -> Image.Image:
    """A hill, a ball and a star in the sky; on the left as cells, on the right with their outlines."""
    exact = scene(side * FINER)
    cells = exact.resize((CELLS, CELLS), Image.Resampling.BOX).resize((side, side), Image.Resampling.NEAREST)
    exact = outlined(side * FINER).resize((side, side), Image.Resampling.LANCZOS)
    exact.paste(cells.crop((0, 0, side // 2, side)), (0, 0))
    ImageDraw.Draw(exact).line([(side // 2, 0), (side // 2, side)], LINE, max(2, side // 100))
    return exact


def shapes(side: int) -> list[tuple[str, list[tuple[float, float]]]]:
    """Colour and outline of each thing, the hindmost first."""
    across = [x / 60 for x in range(-3, 64)]  # and a little beyond the frame
    hill = [(x * side, (0.72 - 0.08 * math.sin(2 * math.pi * x)) * side) for x in across]
    ball = [(side * (0.5 + 0.2 * math.cos(a)), side * (0.64 + 0.2 * math.sin(a))) for a in circle(90)]
    radii = [0.17 if point % 2 == 0 else 0.075 for point in range(10)]
    star = [
        (side * (0.5 + r * math.sin(a)), side * (0.25 - r * math.cos(a)))
        for r, a in zip(radii, circle(10), strict=True)
    ]
    return [(GROUND, [*hill, (1.1 * side, 1.1 * side), (-0.1 * side, 1.1 * side)]), (BALL, ball), (STAR, star)]


def circle(points: int) -> list[float]:
    return [2 * math.pi * point / points for point in range(points)]


def scene(side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), SKY)
    for color, outline in shapes(side):
        ImageDraw.Draw(image).polygon(outline, color)
    return image


def outlined(side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), SKY)
    draw = ImageDraw.Draw(image)
    for color, outline in shapes(side):
        draw.polygon(outline, color)
        draw.line([*outline, outline[0]], LINE, side // 50, joint="curve")
    return image


def banner(picture: Image.Image) -> Image.Image:
    image = Image.new("RGB", BANNER, NIGHT)
    margin = (BANNER[1] - picture.height) // 2
    image.paste(picture, (margin, margin))
    draw, left = ImageDraw.Draw(image), picture.width + 2 * margin + 20
    draw.text((left, 165), "EmerDiff", LINE, ImageFont.load_default(120))
    draw.text((left, 310), "Exact masks from the Stable Diffusion", SKY, ImageFont.load_default(36))
    draw.text((left, 358), "that is already in your graph", SKY, ImageFont.load_default(36))
    return image
