"""The bundled workflows on photographs, with the small Stable Diffusion: pictures to look at, and no figures.

Each runs as it is, by the preset draft, which costs least and suits that model. Where one paints by diffusion, a colour
is laid over instead: the small model was not made for painting photographs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.colors import highlight
from PIL import Image, ImageDraw

from comfyui.workflow import (
    ANY_MODEL,
    CLICK,
    COMPARE,
    INPAINT,
    POINT,
    REFINE,
    SEGMENT,
    STAND_INS,
    STEPS,
    Z_IMAGE,
    add,
    find,
    find_after,
    redirect,
    with_inputs,
)
from show.results import OUTPUT, Picture
from show.session import Session, png
from show.sheet import Panel, enlarged, sheet, to_image
from small_model.scenes import SIZE
from small_model.settings import SEGMENTS

FOLDER = Path(__file__).parent / "photographs"
LEFT = OUTPUT / "photographs"
SMALL_MODEL, SMALL_SD = STAND_INS["CheckpointLoaderSimple"], "EmerDiffLabSmallSD"
PRESET = "draft"
FLUX_SIDE = 256  # pixels of the shorter side; the small Flux takes minutes for more
BLUE, SHARE = 0x2060D8, 0.7  # what is laid over a thing, and how much of it
ASTRONAUT, COFFEE = "astronaut", "coffee"
SUIT = ((110, 330), (320, 260), (256, 400), (165, 385))  # x, y: where one clicks
HELMET = ((205, 195),)  # on FLUX_SIDE
Points = Sequence[tuple[int, int]]
Shown = dict[str, Image.Image]


class Stroke(NamedTuple):
    """A line of a rough brush."""

    width: int
    points: Points


BRUSH = (
    Stroke(120, ((110, 320), (100, 420), (200, 330), (230, 420))),
    Stroke(90, ((290, 300), (300, 330))),
    Stroke(90, ((90, 470), (230, 480))),
)
SHEET = {  # a row each: captions by picture
    CLICK: {"input": "A photograph", "overlay": "Segments", "selection": "Clicked", "painted": "Painted over"},
    REFINE: {"input": "The same", "rough_mask": "A rough brush", "lifted": "The exact mask", "cut_out": "Cut out"},
}


def show_photographs(session: Session) -> None:
    """Run the workflows, each on one photograph: a folder for each in demo_output/photographs/, and a sheet."""
    leave(SEGMENT, segmented(session, SEGMENT, put(session, ASTRONAUT), "EmerDiffSegmentImage"))
    leave(STEPS, segmented(session, STEPS, put(session, COFFEE), "EmerDiffAssembleMasks"))
    leave(CLICK, clicked(session, CLICK, put(session, ASTRONAUT), SUIT))
    leave(INPAINT, clicked(session, INPAINT, put(session, ASTRONAUT), SUIT))
    leave(REFINE, refined(session, put(session, ASTRONAUT), BRUSH))
    astronaut = put(session, ASTRONAUT)
    shown = pointed(session, prompt_on(session, POINT, astronaut), SUIT)
    leave(POINT, {"input": astronaut.image, **shown})
    leave(ANY_MODEL, drafted(session, put(session, ASTRONAUT, FLUX_SIDE)))
    leave(Z_IMAGE, clicked(session, Z_IMAGE, put(session, ASTRONAUT, FLUX_SIDE), HELMET))
    leave(COMPARE, compared(session, put(session, COFFEE, SIZE)._replace(stand_in=SMALL_MODEL)))
    sheet([panels_of(*row) for row in SHEET.items()]).save(LEFT / "sheet.png", optimize=True)


def put(session: Session, name: str, shorter_side: int = 0) -> Picture:
    """A photograph among the server's input files, reduced to a shorter side where one is given."""
    found = photograph(name, shorter_side)
    session.server.put_input(f"{found.name}.png", png(found.image))
    return found


def photograph(name: str, shorter_side: int = 0) -> Picture:
    image = Image.open(FOLDER / f"{name}.jpg").convert("RGB")
    if not shorter_side:
        return Picture(name, image, stand_in=SMALL_SD)
    size = [round(side * shorter_side / min(image.size)) for side in image.size]
    return Picture(f"{name}_{shorter_side}", image.resize(size, Image.Resampling.LANCZOS), stand_in=SMALL_SD)


def leave(workflow: str, shown: Shown) -> None:
    """A workflow's pictures in a folder of their own."""
    folder = folder_of(workflow)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, image in shown.items():
        image.save(folder / f"{name}.png")


def folder_of(workflow: str) -> Path:
    return LEFT / workflow.removeprefix("EmerDiff ").replace(" ", "_")


def panels_of(workflow: str, captions: dict[str, str]) -> list[Panel]:
    """Some of a workflow's pictures, by caption."""
    folder = folder_of(workflow)
    return [Panel(text, enlarged(Image.open(folder / f"{name}.png"))) for name, text in captions.items()]


def prompt_on(session: Session, workflow: str, picture: Picture) -> dict:
    """A workflow for a photograph, by the preset draft and at the photograph's own size."""
    return drafting(session.prompt(workflow, picture), picture)


def drafting(prompt: dict, picture: Picture) -> dict:
    """The prompt by the preset draft, at the picture's own size, in place."""
    width, height = picture.image.size
    for node in prompt.values():
        node["inputs"] |= {"preset": PRESET} if "preset" in node["inputs"] else {}
        if node["class_type"] == "ImageScaleToTotalPixels":
            node["inputs"]["megapixels"] = width * height / 2**20
    return prompt


# --- the workflows: what each shows of a photograph ---


def segmented(session: Session, workflow: str, picture: Picture, node: str) -> Shown:
    prompt = prompt_on(session, workflow, picture)
    making = find(prompt, node)
    nodes = {"overlay": over(prompt, making), "label_image": find_after(prompt, "PreviewImage", making)}
    if workflow == STEPS:
        nodes |= {"coarse": find(prompt, "EmerDiffClusterFeatures")}
    return run(session, picture, "segments", prompt, nodes)


def clicked(session: Session, workflow: str, picture: Picture, places: Points) -> Shown:
    prompt = with_points(prompt_on(session, workflow, picture), "EmerDiffSelectSegments", places)
    selecting = find(prompt, "EmerDiffSelectSegments")
    nodes = {"overlay": selecting, "selection": add(prompt, "PreviewImage", images=[selecting, 1])}
    tint(prompt)
    return run(session, picture, "clicking", prompt, nodes | {"painted": find(prompt, "SaveImage")})


def refined(session: Session, picture: Picture, strokes: tuple[Stroke, ...]) -> Shown:
    rough = brushed(picture.image, strokes)
    prompt = drafting(session.prompt_with_mask(REFINE, picture, rough), picture)
    lifting = find(prompt, "EmerDiffLiftMask")
    grey = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[lifting, 1]), 0])
    nodes = {"lifted": lifting, "soft": grey, "cut_out": find(prompt, "SaveImage")}
    return {"rough_mask": lit(picture.image, rough), **run(session, picture, "lifting a brush", prompt, nodes)}


def pointed(session: Session, prompt: dict, places: Points) -> Shown:
    prompt = with_points(prompt, "EmerDiffPickByPoints", places)
    nodes = {"pointed": "EmerDiffPickByPoints", "exact": "EmerDiffLiftMask", "cut_out": "SaveImage"}
    return session.shown("pointing", prompt, {name: find(prompt, node) for name, node in nodes.items()})


def drafted(session: Session, picture: Picture) -> Shown:
    prompt = prompt_on(session, ANY_MODEL, picture)
    nodes = {"overlay": find(prompt, "EmerDiffSelectSegments")}
    return run(session, picture, "a transformer's draft", prompt, nodes)


def compared(session: Session, picture: Picture) -> Shown:
    """The presets as they are, by the scene model: the small Stable Diffusion takes minutes for the dearer ones."""
    prompt = with_inputs(session.prompt(COMPARE, picture), "EmerDiffSegmentImage", segments=SEGMENTS)
    each = {key: node["inputs"] for key, node in prompt.items() if node["class_type"] == "EmerDiffSegmentImage"}
    return run(session, picture, "every preset", prompt, {f"by_{own['preset']}": key for key, own in each.items()})


# --- what they share ---


def tint(prompt: dict) -> None:
    """A colour laid over what would be painted, exactly where the mask is, in place."""
    painting, growing = find(prompt, "VAEDecode"), find(prompt, "GrowMask")
    (photo,) = {tuple(node["inputs"]["destination"]) for node in prompt.values() if "destination" in node["inputs"]}
    colour = add(prompt, "EmptyImage", width=64, height=64, batch_size=1, color=BLUE)
    how = {"blend_factor": SHARE, "blend_mode": "normal"}
    blended = add(prompt, "ImageBlend", image1=list(photo), image2=[colour, 0], **how)
    redirect(prompt, [painting, 0], [blended, 0])
    prompt[growing]["inputs"]["expand"] = 0


def run(session: Session, picture: Picture, title: str, prompt: dict, nodes: dict[str, str]) -> Shown:
    """The photograph, and the first picture of each of some nodes."""
    return {"input": picture.image, **session.shown(f"{picture.name}: {title}", prompt, nodes)}


def over(prompt: dict, node: str) -> str:
    """A node that shows the segments that another one makes over the photograph, added in place."""
    nothing = {"selection": "", "positive_points": "", "negative_points": "", "invert": False}
    source = {"segmentation": [node, 1], "image": [find(prompt, "LoadImage"), 0]}
    return add(prompt, "EmerDiffSelectSegments", **nothing, **source)


def with_points(prompt: dict, node: str, places: Points) -> dict:
    """The prompt with points as the click widget writes them."""
    return with_inputs(prompt, node, positive_points=json.dumps([{"x": x, "y": y} for x, y in places]))


def brushed(image: Image.Image, strokes: tuple[Stroke, ...]) -> np.ndarray:
    """What strokes cover, [H, W] bool."""
    covered = Image.new("1", image.size)
    draw = ImageDraw.Draw(covered)
    for width, points in strokes:
        draw.line(points, 1, width, "curve")
        for x, y in points:  # round ends
            draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], 1)
    return np.array(covered)


def lit(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """A mask [H, W] bool over a photograph, as Lift Mask shows what it made."""
    picture = torch.from_numpy(np.array(image, np.float32) / 255)
    return to_image(highlight(picture[None], torch.from_numpy(mask)[None].float())[0].numpy())
