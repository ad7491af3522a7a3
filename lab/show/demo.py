"""Segment pictures in a real ComfyUI with the bundled workflows, and leave everything to look at in demo_output/.

Without options: procedural scenes whose true regions are known, segmented and scored with the small trained model, and
photographs, to look at. With --checkpoint and --image: your own Stable Diffusion checkpoint (SD1.x, SD2.x, SDXL) and
pictures.

For each picture a folder: input.png, overlay.png, label_image.png, masks/, coarse/ (what the UNet's own grid gives,
enlarged bilinearly), inpainted.png (an object removed, or a segment painted over), rough_mask.png and lifted.png (a box
around it, made precise), by_word.png (the segments that a word means), and sheet.png with most of it side by side. For
photographs a folder for each workflow in photographs/, among them every preset and a small transformer.
The server runs on a free port of this machine and is stopped at the end, whatever happens.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np
from PIL import Image

from comfyui.server import HostServer, interrupt_on_termination
from comfyui.workflow import (
    INPAINT,
    POINT,
    REFINE,
    STEPS,
    WORD,
    add,
    find,
    find_after,
    redirect,
    with_inputs,
    with_small_model_settings,
)
from measure.log import Row
from measure.metrics import CALLED, bilinear_labels, interior, iou, scores
from measure.rough import rough_masks
from measure.tables import means
from show.on_photographs import pointed, show_photographs
from show.results import OUTPUT, Picture, Segments, Task, write
from show.session import SEGMENTS_OF_A_PHOTO, Session, png
from show.sheet import to_image
from small_model.scenes import HELD_OUT, scene
from small_model.settings import SAMPLING, SEGMENTS


def main() -> None:
    options = parse()
    interrupt_on_termination()
    rows = []
    try:
        print("Starting ComfyUI ...", flush=True)
        with HostServer() as server:
            print(f"ComfyUI {server.version()} answers at http://{server.address}", flush=True)
            session = Session(server, options)
            for picture in pictures(options):
                rows.append(show(session, picture))
            if not options.image:
                show_photographs(session)
    finally:
        if rows:
            print(f"\n{means(rows, 'Each picture', ['seed'])}\n{means(rows, 'All', [])}\nThe pictures are in {OUTPUT}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="run.py itself takes --host-version X, the ComfyUI to use, and COMFYUI_PATH in the environment.",
    )
    parser.add_argument("--scenes", type=int, default=3, help="how many procedural scenes (default 3)")
    parser.add_argument("--checkpoint", type=Path, help="a Stable Diffusion checkpoint file, with --image")
    parser.add_argument("--image", type=Path, action="append", default=[], help="your picture; may be given repeatedly")
    parser.add_argument("--prompt", default="a bunch of flowers", help="what to paint over a segment of your picture")
    parser.add_argument("--word", default="flower", help="what to look for in your picture")
    parser.add_argument("--size", type=int, default=512, help="shorter side of your pictures, at most (default 512)")
    parser.add_argument(
        "--segments", type=int, help=f"per picture (default {SEGMENTS}, with --checkpoint {SEGMENTS_OF_A_PHOTO})"
    )
    options = parser.parse_args()
    if bool(options.checkpoint) != bool(options.image):
        parser.error("--checkpoint and --image go together")
    for path in filter(None, [options.checkpoint, *options.image]):
        if not path.is_file():
            parser.error(f"there is no file {path}")
    return options


def pictures(options: argparse.Namespace):
    """The user's pictures, or scenes."""
    for number, path in enumerate(options.image):
        name = re.sub(r"\W+", "_", path.stem)
        yield Picture(f"picture_{number}_{name}", fitted(Image.open(path).convert("RGB"), options.size))
    if not options.image:
        for seed in range(HELD_OUT, HELD_OUT + options.scenes):
            image, truth, words = scene(seed)
            yield Picture(f"scene_{seed}", to_image(image), truth, words)


def fitted(image: Image.Image, shorter_side: int) -> Image.Image:
    """No larger than asked; sides multiples of 8, which the VAE asks for."""
    scale = min(1.0, shorter_side / min(image.size))
    return image.resize([max(8, round(side * scale / 8) * 8) for side in image.size], Image.Resampling.LANCZOS)


def show(session: Session, picture: Picture) -> Row:
    """Segment and inpaint a picture, write its files, and score it where the truth is known."""
    session.server.put_input(f"{picture.name}.png", png(picture.image))
    segments = segment(session, picture)
    task = choose(picture, segments.labels, session.options)
    shown = inpaint(session, picture, segments, task) | pick(session, picture, segments, task)
    row: Row = {"seed": picture.name, "segments": len(segments.masks), "seconds": segments.seconds}
    if picture.truth is not None:
        for name, labels in {"EmerDiff": segments.labels, "bilinear": segments.coarse}.items():
            row |= {f"{CALLED[key]}, {name}": scores(labels, picture.truth)[key] for key in ("miou", "ari")}
    write(picture, segments, task, shown)
    return row


def segment(session: Session, picture: Picture) -> Segments:
    """Run the step-by-step workflow, with the coarse masks and the segmentation saved on the way."""
    prompt = session.prompt(STEPS, picture)
    if not session.checkpoint:
        prompt = with_small_model_settings(prompt)
    prompt = with_inputs(prompt, "EmerDiffClusterFeatures", segments=session.segments)
    assemble = find(prompt, "EmerDiffAssembleMasks")
    folder = picture.name
    saving = {
        name: add(prompt, "EmerDiffSave", value=value, filename_prefix=f"{folder}/{name}")
        for name, value in (("coarse", [find(prompt, "EmerDiffClusterFeatures"), 0]), ("segmentation", [assemble, 1]))
    }
    begin = time.monotonic()
    outputs = session.run(f"{picture.name}: segmenting", prompt)
    seconds = time.monotonic() - begin
    files = {name: f"{folder}/{outputs[node]['text'][0]}" for name, node in saving.items()}
    return Segments(
        labels=session.tensor(files["segmentation"], "labels")[0].numpy(),
        coarse=bilinear_labels(session.tensor(files["coarse"], "masks")[0], picture.image.size[::-1]),
        label_image=session.images(outputs[find_after(prompt, "PreviewImage", assemble)])[0],
        masks=session.images(outputs[find_after(prompt, "PreviewImage", find(prompt, "MaskToImage"))]),
        file_name=files["segmentation"],
        seconds=seconds,
    )


def inpaint(session: Session, picture: Picture, segments: Segments, task: Task) -> dict[str, Image.Image]:
    """Run the inpainting workflow on one segment, with the segmentation that is already there."""
    width, height = picture.image.size
    prompt = session.prompt(INPAINT, picture, task.prompt)
    prompt = with_inputs(prompt, "ImageScaleToTotalPixels", megapixels=width * height / 2**20)  # keeps the size
    prompt = with_inputs(prompt, "EmerDiffSelectSegments", selection=str(task.segments)[1:-1], positive_points="")
    prompt = with_inputs(prompt, "GrowMask", expand=max(2, min(width, height) // 40))
    if not session.checkpoint:
        prompt = with_inputs(prompt, "KSampler", **SAMPLING)
    use_segmentation(prompt, segments)
    selecting = find(prompt, "EmerDiffSelectSegments")
    selection = add(prompt, "PreviewImage", images=[selecting, 1])
    nodes = {"overlay": selecting, "selection": selection, "inpainted": find(prompt, "SaveImage")}
    return session.shown(f"{picture.name}: inpainting", prompt, nodes)


def use_segmentation(prompt: dict, segments: Segments) -> None:
    """Load the segmentation that is already there instead of making it again, in place."""
    segmenting = find(prompt, "EmerDiffSegmentImage")
    redirect(prompt, [segmenting, 1], [add(prompt, "EmerDiffLoad", file_name=segments.file_name), 0])
    del prompt[segmenting]


def pick(session: Session, picture: Picture, segments: Segments, task: Task) -> dict[str, Image.Image]:
    """Run the workflows for a rough mask, a box around the chosen segments, for a word, and for a point in them."""
    region = np.isin(segments.labels, task.segments)
    rough = rough_masks(region, 0)["box around it"] > 0.5
    prompt = session.prompt_with_mask(REFINE, picture, rough)
    lifted = session.shown(f"{picture.name}: lifting a box", prompt, {"lifted": find(prompt, "EmerDiffLiftMask")})
    prompt = with_inputs(session.prompt(WORD, picture, task.prompt), "EmerDiffSelectByText", text=task.word)
    redirect(prompt, [find(prompt, "ImageScaleToTotalPixels"), 0], [find(prompt, "LoadImage"), 0])
    use_segmentation(prompt, segments)
    kept = ("LoadImage", "EmerDiffLabSmallModel", "CheckpointLoaderSimple", "EmerDiffLoad", "EmerDiffSelectByText")
    prompt = {key: node for key, node in prompt.items() if node["class_type"] in kept}
    selecting = find(prompt, "EmerDiffSelectByText")
    add(prompt, "PreviewImage", images=[selecting, 1])
    found = session.shown(f"{picture.name}: looking for {task.word}", prompt, {"by_word": selecting})
    rough_mask = {"rough_mask": Image.fromarray(np.uint8(255) * rough)}
    return rough_mask | lifted | found | pointed(session, session.prompt(POINT, picture), [interior(region)[::-1]])


def choose(picture: Picture, labels: np.ndarray, options: argparse.Namespace) -> Task:
    """In a scene, the object that is found best is to vanish; elsewhere, the middle of the picture becomes another."""
    truth = picture.truth
    if truth is None:
        middle = int(labels[labels.shape[0] // 2, labels.shape[1] // 2])
        return Task([middle], options.prompt, options.prompt, options.word)
    objects = {region: segments_of(labels, truth == region) for region in range(2, len(picture.words))}
    best = max(objects, key=lambda region: iou(np.isin(labels, objects[region]), truth == region))
    others = [word for region, word in enumerate(picture.words) if region != best]
    return Task(objects[best], " ".join(others), f"{picture.words[best]} removed", picture.words[best])


def segments_of(labels: np.ndarray, region: np.ndarray) -> list[int]:
    """The segments that lie mostly in a region, or else the one that is most like it."""
    numbers = [int(number) for number in np.unique(labels)]
    inside = [number for number in numbers if region[labels == number].mean() > 0.5]
    return inside or [max(numbers, key=lambda number: iou(labels == number, region))]
