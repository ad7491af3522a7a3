"""The bundled workflows, the prompts that the front end makes of them (docs/api), and small edits on prompts.

A prompt is `{node id: {"class_type": str, "inputs": {name: value or [node id, output]}}}`.
"""

import copy
import json
from pathlib import Path

from small_model import settings

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS, PROMPTS = ROOT / "workflows", ROOT / "docs" / "api"
SEGMENT = "EmerDiff segment image"
STEPS = "EmerDiff step by step"
INPAINT = "EmerDiff inpaint a segment"
CLICK = "EmerDiff click and inpaint"
REFINE = "EmerDiff refine a rough mask"
POINT = "EmerDiff point at a thing"
WORD = "EmerDiff replace by word"
ANY_MODEL = "EmerDiff segment with any model"
Z_IMAGE = "EmerDiff replace with Z-Image"
QWEN_EDIT = "EmerDiff replace with Qwen-Image-Edit"
KLEIN = "EmerDiff replace with Flux 2 klein"
WORD_WITH_FLUX = "EmerDiff find a word with Flux"
VIDEO = "EmerDiff a thing through a video"
COMPARE = "EmerDiff compare presets"

NOTES = ("Note", "MarkdownNote")
STAND_INS = {"CheckpointLoaderSimple": "EmerDiffLabSmallModel", "UNETLoader": "EmerDiffLabSmallFlux"}
# Of a model in several files: the output of the stand-in that gives it.
PARTS = {"VAELoader": 2, "CLIPLoader": 3, "DualCLIPLoader": 3, "LoraLoaderModelOnly": 0}


def load_prompt(name: str) -> dict:
    """A bundled workflow as a prompt."""
    return json.loads(prompt_file(name).read_text())


def prompt_file(name: str) -> Path:
    return PROMPTS / f"{name.removeprefix('EmerDiff ').replace(' ', '_')}.json"


# -- edits, all on a copy or a new node


def find(prompt: dict, class_type: str) -> str:
    """The id of the first node of a class."""
    return next(key for key, node in prompt.items() if node["class_type"] == class_type)


def find_after(prompt: dict, class_type: str, source: str) -> str:
    """The id of the first node of a class that takes an output of the node `source`."""
    return next(
        key
        for key, node in prompt.items()
        if node["class_type"] == class_type
        and any(isinstance(value, list) and value[0] == source for value in node["inputs"].values())
    )


def with_inputs(prompt: dict, class_type: str, **values) -> dict:
    """The prompt with inputs of every node of a class set."""
    changed = copy.deepcopy(prompt)
    find(changed, class_type)
    for node in changed.values():
        if node["class_type"] == class_type:
            node["inputs"] |= values
    return changed


def add(prompt: dict, class_type: str, **inputs) -> str:
    """Add a node in place; its id."""
    key = str(max(map(int, prompt), default=0) + 1)
    prompt[key] = {"class_type": class_type, "inputs": inputs}
    return key


def replace_loaders(prompt: dict, checkpoint: str = STAND_INS["CheckpointLoaderSimple"]) -> dict:
    """The prompt with the small trained model in place of the checkpoint; its texts are to be the model's words.

    `checkpoint` is the node that stands in for it. In place of a transformer with its VAE and CLIP the small Flux. An
    empty text becomes the stand-in's own empty prompt; what else takes the CLIP gets the stand-in's.
    """
    changed = copy.deepcopy(prompt)
    loader = next(key for key, node in changed.items() if node["class_type"] in STAND_INS)
    stand_ins = STAND_INS | {"CheckpointLoaderSimple": checkpoint}
    whole = changed[loader]["class_type"] == "CheckpointLoaderSimple"
    changed[loader] = {"class_type": stand_ins[changed[loader]["class_type"]], "inputs": {}}
    redirect(changed, [loader, 1], [loader, 3])
    for key in [key for key, node in changed.items() if node["class_type"] in PARTS]:
        redirect(changed, [key, 0], [loader, PARTS[changed[key]["class_type"]]])
        del changed[key]
    for key in [key for key, node in changed.items() if node["class_type"] == "CLIPTextEncode"]:
        text = changed[key]["inputs"]["text"]
        if not text:
            del changed[key]
            redirect(changed, [key, 0], [loader, 1])
        elif whole:
            changed[key] = {"class_type": "EmerDiffLabPrompt", "inputs": {"text": text}}
    for node in changed.values():
        if node["class_type"] == "FluxKontextMultiReferenceLatentMethod":
            node["inputs"]["reference_latents_method"] = "index"  # Flux.1 fails with the way of Qwen-Image-Edit
    return changed


def with_small_model_settings(prompt: dict) -> dict:
    """The step-by-step workflow's prompt with the settings that suit the small model."""
    prompt = with_inputs(prompt, "EmerDiffClusterFeatures", segments=settings.SEGMENTS)
    return with_inputs(prompt, "EmerDiffAssembleMasks", normalize=settings.NORMALIZE)


def with_text(prompt: dict, text: str) -> dict:
    """The prompt with `text` in every CLIPTextEncode that is not empty."""
    changed = copy.deepcopy(prompt)
    for node in changed.values():
        if node["class_type"] == "CLIPTextEncode" and node["inputs"]["text"]:
            node["inputs"]["text"] = text
    return changed


def redirect(prompt: dict, old: list, new: list) -> None:
    """Make every input that takes one output take another, in place."""
    for node in prompt.values():
        node["inputs"] = {name: new if value == old else value for name, value in node["inputs"].items()}
