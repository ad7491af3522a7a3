"""Short ways to ask a running server for what the tests look at."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from comfyui.server import HostServer
from comfyui.workflow import STEPS, add, find, find_after, load_prompt, replace_loaders, with_inputs, with_text
from small_model.scenes import HELD_OUT, scene
from small_model.settings import COUNT_FILE

SEGMENTS = 6  # few, because the tests that use it do not ask how good the masks are
SCENE = scene(HELD_OUT)
PIXELS = (SCENE.image * 255).round().astype(np.uint8)


class Client:
    """The server, and short ways to ask it for what tests look at."""

    def __init__(self, server: HostServer):
        self.server = server
        self.run, self.get = server.run, server.get
        self.info = server.object_info()

    def put_image(self, name: str, image: Image.Image) -> str:
        buffer = io.BytesIO()
        image.save(buffer, "png")
        self.server.put_input(name, buffer.getvalue())
        return name

    def workflow(self, name: str, image: str, **segmenting) -> dict:
        """A bundled workflow with the small model, one of its words, an image of the input folder and few segments."""
        prompt = with_text(load_prompt(name), "star")
        prompt = replace_loaders(with_inputs(prompt, "LoadImage", image=image))
        node = "EmerDiffClusterFeatures" if name == STEPS else "EmerDiffSegmentImage"
        return with_inputs(prompt, node, **{"segments": SEGMENTS, **segmenting})

    def add(self, prompt: dict, class_type: str, **inputs) -> str:
        """Add a node in place, its other widgets at their defaults; its id."""
        required = self.info[class_type]["input"].get("required", {}).items()
        usual = {name: more[0]["default"] for name, (_, *more) in required if more and "default" in more[0]}
        return add(prompt, class_type, **{**usual, **inputs})

    def pixels(self, entry: dict) -> np.ndarray:
        """The pictures of a node's outputs: [N, H, W, 3] uint8."""
        files = [self.server.fetch(file) for file in entry["images"]]
        return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])

    def labels(self, entry: dict) -> np.ndarray:
        """The label map that the click widget gets: [H, W]."""
        return np.asarray(Image.open(io.BytesIO(self.server.fetch(entry["labels"]))))[..., 0] >> 3

    def evaluations(self, prompt: dict) -> int:
        """How often the UNet runs for a prompt."""
        file = self.server.base / "temp" / COUNT_FILE
        before = file.stat().st_size if file.exists() else 0
        self.run(prompt)
        return (file.stat().st_size if file.exists() else 0) - before

    def masks(self, prompt: dict, outputs: dict) -> np.ndarray:
        """What the workflow's MaskToImage showed: [N, H, W] uint8."""
        return self.pixels(outputs[find_after(prompt, "PreviewImage", find(prompt, "MaskToImage"))])[..., 0]

    def saved(self, folder: str, entry: dict) -> str:
        """The file that an EmerDiffSave with a prefix in `folder` wrote, as EmerDiffLoad takes it."""
        return f"{folder}/{entry['text'][0]}"

    def path(self, file_name: str) -> Path:
        return self.server.base / "output" / file_name


def paint(prompt: dict, model: str, image: str, **settings) -> str:
    """Have the MODEL paint over an image with the host's own sampler; the node that shows the picture."""
    usual = {"seed": 1, "steps": 3, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 0.5}
    prompts = {"positive": [model, 1], "negative": [model, 1]}
    latent = add(prompt, "VAEEncode", pixels=[image, 0], vae=[model, 2])
    sample = add(prompt, "KSampler", model=[model, 0], latent_image=[latent, 0], **prompts, **{**usual, **settings})
    decoded = add(prompt, "VAEDecode", samples=[sample, 0], vae=[model, 2])
    return add(prompt, "PreviewImage", images=[decoded, 0])
