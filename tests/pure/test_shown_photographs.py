"""Photographs that are shown: named with source and licence, light, not for the archive; the pictures made of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from checks.trade import archive_faults, tracked_files
from comfyui.workflow import WORKFLOWS
from show import on_photographs, thumbnails
from show.on_photographs import FOLDER, Stroke, brushed, tint

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = sorted(FOLDER.glob("*.jpg"))
PICTURES = sorted((ROOT / "docs" / "images").glob("*.png"))
FREE = ("public domain", "CC0")
LARGEST = 80_000  # bytes
OUTLINES = json.loads((FOLDER / "outlines.json").read_text())


def row_of(page: Path, name: str) -> list[str]:
    """The cells of a table's row that names a file; empty where there is none."""
    rows = [line for line in page.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    return [cell.strip() for cell in rows[0].strip("|").split("|")] if rows else []


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_a_photograph_is_named_with_source_and_a_free_licence_and_is_light(path):
    _, shows, source, licence = row_of(FOLDER / "README.md", path.name)
    assert shows and source and licence in FREE
    assert path.stat().st_size < LARGEST


def test_no_photograph_is_named_that_is_not_there():
    named = re.findall(r"^\| `(\w+\.jpg)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == [path.name for path in PHOTOGRAPHS]


def test_no_photograph_is_in_the_archive():
    names = {path.relative_to(ROOT).as_posix() for path in PHOTOGRAPHS}
    tracked = set(tracked_files())
    assert names <= tracked
    faults = archive_faults(tracked, tracked)
    assert {f"not for users: {name}" for name in names} <= set(faults)
    assert "/lab/" in (ROOT / ".comfyignore").read_text().split()


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_every_picture_of_the_pages_says_what_it_was_made_of(path):
    _, shows, made_of = row_of(ROOT / "docs" / "images" / "README.md", path.name)
    assert shows and made_of


def test_pages_name_source_and_licence_of_every_photograph():
    page = (ROOT / "docs" / "images" / "README.md").read_text()
    for path in PHOTOGRAPHS:
        _, _, source, licence = row_of(FOLDER / "README.md", path.name)
        assert source in page and licence in page, path.name


def test_every_template_has_a_square_thumbnail_drawn_here():
    templates = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    assert sorted(thumbnails.SHOWN) == templates
    for name in templates:
        path = WORKFLOWS / f"{name}.jpg"
        assert path.stat().st_size <= thumbnails.LARGEST
        with Image.open(path) as opened:
            assert opened.size == (thumbnails.SIDE, thumbnails.SIDE), name


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_lies_on_its_photograph_around_a_thing(name):
    with Image.open(FOLDER / f"{name}.jpg") as opened:
        size = opened.size
    outline = OUTLINES[name]["outline"]
    assert all(0 <= x <= size[0] and 0 <= y <= size[1] for x, y in outline)
    drawn = Image.new("1", size)
    ImageDraw.Draw(drawn).polygon([tuple(point) for point in outline], 1)
    assert 0.01 < np.asarray(drawn).mean() < 0.5 and OUTLINES[name]["thing"]


def test_a_brush_covers_its_lines_and_no_more():
    covered = brushed(Image.new("RGB", (60, 40)), (Stroke(10, ((10, 20), (50, 20))),))
    assert covered.shape == (40, 60) and covered[20, 10:50].all() and covered[16, 30] and covered[20, 6]
    assert not covered[:13].any() and not covered[27:].any() and not covered[:, :4].any()


def test_a_tint_takes_the_place_of_what_would_be_painted_exactly_on_the_mask():
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {}},
        "2": {"class_type": "VAEDecode", "inputs": {}},
        "3": {"class_type": "GrowMask", "inputs": {"expand": 8, "mask": ["9", 0]}},
        "4": {"class_type": "ImageCompositeMasked", "inputs": {"destination": ["1", 0], "source": ["2", 0]}},
    }
    tint(prompt)
    blended = prompt[prompt["4"]["inputs"]["source"][0]]
    assert blended["class_type"] == "ImageBlend" and blended["inputs"]["image1"] == ["1", 0]
    assert prompt["3"]["inputs"]["expand"] == 0


def halves(size):
    return [Image.new("RGB", size, colour) for colour in ("red", "blue")]


def test_pictures_are_whole_in_a_thumbnail():
    wide = np.asarray(thumbnails.thumbnail(halves((300, 200))))
    assert (wide[5, 256] == (255, 0, 0)).all() and (wide[-5, 256] == (0, 0, 255)).all()
    for half, colour in ((wide[:256], 0), (wide[256:], 2)):
        rows, columns = np.nonzero(half[..., colour] > 200)
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(1.5, abs=0.02)
    square = np.asarray(thumbnails.thumbnail(halves((256, 256))))
    assert (square[:, 0] == (255, 0, 0)).all() and (square[:, -1] == (0, 0, 255)).all()


def test_no_more_than_the_commands_own_photographs_are_there():
    used = {on_photographs.ASTRONAUT, on_photographs.COFFEE}
    assert used | set(OUTLINES) == {path.stem for path in PHOTOGRAPHS}
