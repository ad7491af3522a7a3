"""Workflows as the front end saves them -> prompts as the server runs them, and small edits on prompts.

A prompt is `{node id: {"class_type": str, "inputs": {name: value or [node id, output]}}}`.
"""

import copy
import json
from pathlib import Path

from small_model import settings

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
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

MUTED, BYPASSED = 2, 4  # a node's `mode`
NOTES = ("Note", "MarkdownNote")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
SEEDS = ("seed", "noise_seed")
STAND_INS = {"CheckpointLoaderSimple": "EmerDiffLabSmallModel", "UNETLoader": "EmerDiffLabSmallFlux"}
# Of a model in several files: the output of the stand-in that gives it.
PARTS = {"VAELoader": 2, "CLIPLoader": 3, "DualCLIPLoader": 3, "LoraLoaderModelOnly": 0}


def load_prompt(name: str, object_info: dict) -> dict:
    """A bundled workflow as a prompt."""
    return to_prompt(json.loads((WORKFLOWS / f"{name}.json").read_text()), object_info)


def to_prompt(workflow: dict, object_info: dict) -> dict:
    """What the front end would queue for a workflow; `object_info` is the server's answer of that name."""
    graph = _Graph(workflow)
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": graph.inputs(node, object_info[node["type"]])}
        for node in graph.nodes.values()
        if node["type"] not in (*NOTES, "Reroute", "PrimitiveNode") and node.get("mode") not in (MUTED, BYPASSED)
    }


class _Graph:
    """The nodes and links of a workflow, by id."""

    def __init__(self, workflow: dict):
        self.nodes = {node["id"]: node for node in workflow["nodes"]}
        self.links = {link[0]: link for link in workflow["links"]}  # [id, node, output, node, input, type]

    def inputs(self, node: dict, definition: dict) -> dict:
        """Widget values by name, overlaid with what is linked."""
        values = _widget_values(node.get("widgets_values", []), definition)
        for slot in node.get("inputs", []):
            if slot.get("link") is not None:
                source = self.source(slot["link"])
                if source is not None:
                    values[slot["name"]] = source
        return values

    def source(self, link_id: int):
        """`[node id, output]` that a link carries, a primitive's value, or None where nothing arrives."""
        _, origin, output, _, _, kind = self.links[link_id]
        node = self.nodes[origin]
        if node.get("mode") == MUTED:
            return None
        if node["type"] == "PrimitiveNode":
            return node["widgets_values"][0]
        if node["type"] == "Reroute" or node.get("mode") == BYPASSED:
            slot = _passed_through(node, output, kind)
            return None if slot is None or slot.get("link") is None else self.source(slot["link"])
        return [str(origin), output]


def _passed_through(node: dict, output: int, kind: str) -> dict | None:
    """The input that a bypassed node hands on: the one in the same place if it fits, else the first that fits."""
    slots = node.get("inputs", [])
    ordered = slots[output : output + 1] + slots
    fitting = [slot for slot in ordered if kind in (slot["type"], "*") or slot["type"] == "*"]
    return fitting[0] if fitting else None


def _widget_values(saved: list, definition: dict) -> dict:
    """Saved values by input name; an input beyond the saved ones keeps its default."""
    remaining, values = list(saved), {}
    for name, (kind, *more) in _inputs(definition):
        options = more[0] if more else {}
        if not (isinstance(kind, list) or kind in WIDGET_TYPES) or options.get("forceInput"):
            continue
        values[name] = remaining.pop(0) if remaining else _default(kind, options)
        # The front end adds a widget of its own after these, and saves its value too.
        if options.get("control_after_generate") or (kind == "INT" and name in SEEDS) or options.get("image_upload"):
            remaining = remaining[1:]
    return values


def _inputs(definition: dict):
    for group in ("required", "optional"):
        yield from definition["input"].get(group, {}).items()


def _default(kind, options: dict):
    if "default" in options:
        return options["default"]
    choices = kind if isinstance(kind, list) else options.get("options")
    return choices[0] if choices else {"STRING": "", "BOOLEAN": False}.get(kind, 0)


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
