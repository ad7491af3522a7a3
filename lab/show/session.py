"""A running server and what every prompt of the demo needs."""

import argparse
import io
import sys

import numpy as np
from PIL import Image
from safetensors import safe_open
from tqdm import tqdm

from comfyui.server import HostServer
from comfyui.workflow import load_prompt, replace_loaders, with_inputs, with_text
from show.results import Picture
from show.sheet import opaque
from small_model.settings import SEGMENTS

LINE = "{desc}, {elapsed}{postfix}"
HOURS = 12  # without a GPU, a real checkpoint takes long
SEGMENTS_OF_A_PHOTO = 20


class Session:
    """A running server and what every prompt needs."""

    def __init__(self, server: HostServer, options: argparse.Namespace):
        self.server = server
        self.options = options
        self.checkpoint = server.link_checkpoint(options.checkpoint) if options.checkpoint else None
        self.segments = options.segments or (SEGMENTS_OF_A_PHOTO if self.checkpoint else SEGMENTS)

    def prompt(self, workflow: str, picture: Picture, words: str = "") -> dict:
        """A bundled workflow for this picture: with the checkpoint, or what stands in for it."""
        prompt = with_text(load_prompt(workflow), words)
        prompt = with_inputs(prompt, "LoadImage", image=f"{picture.name}.png")
        if self.checkpoint:
            return with_inputs(prompt, "CheckpointLoaderSimple", ckpt_name=self.checkpoint)
        return replace_loaders(prompt, picture.stand_in)

    def prompt_with_mask(self, workflow: str, picture: Picture, mask: np.ndarray) -> dict:
        """A workflow for this picture with a mask [H, W] bool, put there as the mask editor saves one."""
        painted_over = picture.image.copy()
        painted_over.putalpha(Image.fromarray(np.uint8(255) * ~mask))
        self.server.put_input(f"{picture.name}_rough.png", png(painted_over))
        return with_inputs(self.prompt(workflow, picture), "LoadImage", image=f"{picture.name}_rough.png")

    def run(self, title: str, prompt: dict) -> dict:
        with tqdm(desc=title, bar_format=LINE) as line:

            def show(node: str, value: int, maximum: int) -> None:
                line.set_postfix_str(f"{node} {value}/{maximum}", refresh=sys.stderr.isatty())

            return self.server.run(prompt, show, timeout=3600 * HOURS)

    def shown(self, title: str, prompt: dict, nodes: dict[str, str]) -> dict[str, Image.Image]:
        """The first picture of each of some nodes, by the same names."""
        outputs = self.run(title, prompt)
        return {name: self.images(outputs[node])[0] for name, node in nodes.items()}

    def images(self, entry: dict) -> list[Image.Image]:
        """The pictures of a node's outputs."""
        return [opaque(Image.open(io.BytesIO(self.server.fetch(file)))) for file in entry["images"]]

    def tensor(self, file_name: str, name: str):
        """A tensor of a file that EmerDiffSave wrote."""
        with safe_open(self.server.base / "output" / file_name, framework="pt") as file:
            return file.get_tensor(name)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()
