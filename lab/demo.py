"""Segment pictures in a real ComfyUI with the bundled workflows, and leave everything to look at in demo_output/.

Without options: procedural scenes whose true regions are known, segmented and scored with the small trained model.
With --checkpoint and --image: your own Stable Diffusion checkpoint (SD1.x, SD2.x, SDXL) and pictures.

For each picture a folder: input.png, overlay.png, label_image.png, masks/, coarse/ (what the UNet's own grid gives,
enlarged bilinearly), inpainted.png (an object removed, or a segment painted over), rough_mask.png and lifted.png (a box
around it, made precise), by_word.png (the segments that a word means), and sheet.png with all of it side by side.
The server runs on a free port of this machine and is stopped at the end, whatever happens.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from safetensors import safe_open

from host_server import HostServer, ServerError, WorkflowError, default_host, interrupt_on_termination
from metrics import bilinear_labels, iou, scores
from scenes import HELD_OUT, scene
from sheet import PANEL, Panel, colorized, draw_sheet, enlarged, montage, to_image
from small_model.settings import SAMPLING, SEGMENTS, STRENGTH
from workflow import (
    INPAINT,
    REFINE,
    STEPS,
    WORD,
    add,
    find,
    find_after,
    load_prompt,
    redirect,
    replace_loaders,
    with_inputs,
    with_small_model_settings,
    with_text,
)

OUTPUT = Path(__file__).resolve().parent.parent / "demo_output"
HOURS = 12  # without a GPU, a real checkpoint takes long
SEGMENTS_OF_A_PHOTO = 20


class Picture(NamedTuple):
    name: str
    image: Image.Image
    truth: np.ndarray | None = None  # [H, W]
    words: tuple[str, ...] = ()  # words[i] names region i of the truth


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


class Inpainting(NamedTuple):
    overlay: Image.Image  # all segments, numbered
    selection: Image.Image
    result: Image.Image
    caption: str


class Picked(NamedTuple):
    """Other ways to the same thing: from a rough mask, and by a word."""

    rough: Image.Image
    lifted: Image.Image
    by_word: Image.Image
    word: str


class Row(NamedTuple):
    """What the table says of a picture; scores where its true regions are known, (EmerDiff, bilinear)."""

    scene: str
    segments: int
    seconds: float
    miou: tuple[float, float] | None = None
    ari: tuple[float, float] | None = None


def main() -> int:
    options = parse()
    interrupt_on_termination()
    rows = []
    try:
        print("Starting ComfyUI ...", flush=True)
        with HostServer(default_host()) as server:
            print(f"ComfyUI {server.version()} answers at http://{server.address}", flush=True)
            session = Session(server, options)
            for picture in pictures(options):
                rows.append(show(session, picture))
    except (ServerError, WorkflowError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; ComfyUI is stopped.", file=sys.stderr)
        return 130
    finally:
        if rows:
            print(f"\n{table(rows)}\n\nThe pictures are in {OUTPUT}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py demo",
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


class Session:
    """A running server and what every prompt needs."""

    def __init__(self, server: HostServer, options: argparse.Namespace):
        self.server = server
        self.options = options
        self.info = server.object_info()
        self.checkpoint = server.link_checkpoint(options.checkpoint) if options.checkpoint else None
        self.segments = options.segments or (SEGMENTS_OF_A_PHOTO if self.checkpoint else SEGMENTS)

    def prompt(self, workflow: str, picture: Picture, words: str = "") -> dict:
        """A bundled workflow for this picture: with the checkpoint, or the small model in its place."""
        prompt = with_text(load_prompt(workflow, self.info), words)
        prompt = with_inputs(prompt, "LoadImage", image=f"{picture.name}.png")
        if self.checkpoint:
            return with_inputs(prompt, "CheckpointLoaderSimple", ckpt_name=self.checkpoint)
        return replace_loaders(prompt)

    def run(self, title: str, prompt: dict) -> dict:
        with ProgressLine(title) as line:
            return self.server.run(prompt, line.update, timeout=3600 * HOURS)

    def images(self, entry: dict) -> list[Image.Image]:
        """The pictures of a node's outputs."""
        return [Image.open(io.BytesIO(self.server.fetch(file))).convert("RGB") for file in entry["images"]]

    def tensor(self, file_name: str, name: str):
        """A tensor of a file that EmerDiffSave wrote."""
        with safe_open(self.server.base / "output" / file_name, framework="pt") as file:
            return file.get_tensor(name)


def show(session: Session, picture: Picture) -> Row:
    """Segment and inpaint a picture, write its files, and score it where the truth is known."""
    session.server.put_input(f"{picture.name}.png", png(picture.image))
    segments = segment(session, picture)
    task = choose(picture, segments.labels, session.options)
    painted = inpaint(session, picture, segments, task)
    picked = pick(session, picture, segments, task)
    row = Row(picture.name, len(segments.masks), segments.seconds)
    if picture.truth is not None:
        ours, baseline = scores(segments.labels, picture.truth), scores(segments.coarse, picture.truth)
        row = row._replace(miou=(ours["miou"], baseline["miou"]), ari=(ours["ari"], baseline["ari"]))
    write(picture, segments, painted, picked, row)
    return row


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


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


def inpaint(session: Session, picture: Picture, segments: Segments, task: Task) -> Inpainting:
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
    outputs = session.run(f"{picture.name}: inpainting", prompt)
    shown = (selecting, selection, find(prompt, "SaveImage"))
    overlay, selected, result = (session.images(outputs[node])[0] for node in shown)
    return Inpainting(overlay, selected, result, task.caption)


def use_segmentation(prompt: dict, segments: Segments) -> None:
    """Load the segmentation that is already there instead of making it again, in place."""
    segmenting = find(prompt, "EmerDiffSegmentImage")
    redirect(prompt, [segmenting, 1], [add(prompt, "EmerDiffLoad", file_name=segments.file_name), 0])
    del prompt[segmenting]


def pick(session: Session, picture: Picture, segments: Segments, task: Task) -> Picked:
    """Run the workflows for a rough mask, a box around the chosen segments, and for a word."""
    rough = box_around(np.isin(segments.labels, task.segments))
    painted_over = picture.image.copy()
    painted_over.putalpha(Image.fromarray(np.uint8(255) * ~rough))  # as the mask editor saves a mask
    session.server.put_input(f"{picture.name}_rough.png", png(painted_over))
    prompt = with_inputs(session.prompt(REFINE, picture), "LoadImage", image=f"{picture.name}_rough.png")
    if not session.checkpoint:
        prompt = with_inputs(prompt, "EmerDiffLiftMask", strength=STRENGTH)
    lifted = session.run(f"{picture.name}: lifting a box", prompt)[find(prompt, "EmerDiffLiftMask")]
    prompt = with_inputs(session.prompt(WORD, picture, task.prompt), "EmerDiffSelectByText", text=task.word)
    redirect(prompt, [find(prompt, "ImageScaleToTotalPixels"), 0], [find(prompt, "LoadImage"), 0])
    use_segmentation(prompt, segments)
    kept = ("LoadImage", "EmerDiffLabSmallModel", "CheckpointLoaderSimple", "EmerDiffLoad", "EmerDiffSelectByText")
    prompt = {key: node for key, node in prompt.items() if node["class_type"] in kept}
    selecting = find(prompt, "EmerDiffSelectByText")
    add(prompt, "PreviewImage", images=[selecting, 1])
    found = session.run(f"{picture.name}: looking for {task.word}", prompt)[selecting]
    shown = Image.fromarray(np.uint8(255) * rough)
    return Picked(shown, session.images(lifted)[0], session.images(found)[0], task.word)


def box_around(region: np.ndarray) -> np.ndarray:
    """The smallest box around a region, [H, W] bool."""
    box = np.zeros(region.shape, bool)
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


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


# -- what is left to look at


def write(picture: Picture, segments: Segments, painted: Inpainting, picked: Picked, row: Row) -> None:
    """The picture's folder of demo_output/."""
    folder = OUTPUT / picture.name
    shutil.rmtree(folder, ignore_errors=True)
    for name, images in (("masks", segments.masks), ("coarse", masks_of(segments.coarse, len(segments.masks)))):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(folder / name / f"mask_{number:02}.png")
    picture.image.save(folder / "input.png")
    colorized(segments.coarse).save(folder / "coarse" / "label_image.png")
    painted.overlay.save(folder / "overlay.png")
    segments.label_image.save(folder / "label_image.png")
    painted.selection.save(folder / "selection.png")
    painted.result.save(folder / "inpainted.png")
    picked.rough.save(folder / "rough_mask.png")
    picked.lifted.save(folder / "lifted.png")
    picked.by_word.save(folder / "by_word.png")
    sheet(picture, segments, painted, picked, row).save(folder / "sheet.png")


def masks_of(labels: np.ndarray, count: int) -> list[Image.Image]:
    return [Image.fromarray(np.uint8(255) * (labels == number)) for number in range(count)]


def sheet(picture: Picture, segments: Segments, painted: Inpainting, picked: Picked, row: Row) -> Image.Image:
    shown = enlarged(picture.image)
    known = [] if picture.truth is None else [Panel("True regions", enlarged(colorized(picture.truth)))]
    span = 1 if known else 2
    masks = montage(segments.masks, span * PANEL, shown.height)
    panels = [
        Panel("Input", shown),
        *known,
        Panel("Coarse masks, bilinear", enlarged(colorized(segments.coarse))),
        Panel("EmerDiff", enlarged(segments.label_image)),
        Panel("EmerDiff, over the input", enlarged(painted.overlay)),
        Panel(f"Its {len(segments.masks)} masks", masks, span),
        Panel("Selected", enlarged(painted.selection)),
        Panel(f"Inpainted: {painted.caption}", enlarged(painted.result)),
        Panel("A rough mask", enlarged(picked.rough)),
        Panel("The rough mask, lifted", enlarged(picked.lifted)),
        Panel(f"By the word: {picked.word}", enlarged(picked.by_word)),
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


class ProgressLine:
    """One line of the terminal that says what a run does, and in the end how long it took."""

    WIDTH = 30

    def __init__(self, title: str):
        self.title = title
        self.begin = time.monotonic()

    def __enter__(self) -> ProgressLine:
        return self

    def update(self, node: str, value: int, maximum: int) -> None:
        if sys.stdout.isatty():
            bar = "#" * round(self.WIDTH * value / maximum)
            self._write(f"{self.title}  [{bar:.<{self.WIDTH}}] {node} {value}/{maximum}")

    def __exit__(self, failure, *_) -> None:
        seconds = time.monotonic() - self.begin
        self._write(f"{self.title}  {'failed after ' if failure else ''}{seconds:.1f} s")
        print()

    def _write(self, text: str) -> None:
        clear = "\r\x1b[K" if sys.stdout.isatty() else ""
        print(f"{clear}{text}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
