"""The workflow that refines a rough mask, and merging, in a real ComfyUI."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from server_client import PIXELS, SCENE
from test_changes import fresh_picture

from comfyui.workflow import (
    ANY_MODEL,
    CLICK,
    KLEIN,
    POINT,
    QWEN_EDIT,
    REFINE,
    WORD_WITH_FLUX,
    Z_IMAGE,
    add,
    find,
    load_prompt,
    replace_loaders,
    with_inputs,
)
from measure.metrics import boundaries, interior, iou
from small_model.scenes import HELD_OUT, SIZE, scene


def test_a_box_painted_in_the_mask_editor_becomes_the_object(client):
    region = SCENE.labels == 2
    box = np.zeros(region.shape, bool)
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    painted = Image.fromarray(PIXELS)
    painted.putalpha(Image.fromarray(np.uint8(255) * ~box))
    prompt = replace_loaders(load_prompt(REFINE))
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("painted.png", painted))
    outputs = client.run(prompt)
    lifted = cut_out(client, prompt, outputs)
    assert lifted.shape == region.shape
    assert iou(lifted, region) > iou(box, region) + 0.05


def test_a_point_becomes_the_object(client):
    """What the features say of it is rough; lifted it is nearer, and nothing is read of the picture a second time."""
    region = SCENE.labels == 5
    row, column = interior(region)
    prompt = replace_loaders(load_prompt(POINT))
    prompt = with_inputs(prompt, "LoadImage", image=fresh_picture(client, "pointed.png"))
    prompt = with_inputs(prompt, "EmerDiffPickByPoints", positive_points=json.dumps([{"x": column, "y": row}]))
    rough = add(prompt, "MaskToImage", mask=[find(prompt, "EmerDiffPickByPoints"), 0])
    shown = add(prompt, "PreviewImage", images=[rough, 0])
    outputs = client.run(prompt)
    pointed, lifted = client.pixels(outputs[shown])[0, ..., 0] > 0, cut_out(client, prompt, outputs)
    assert pointed[row, column] and lifted[row, column]
    assert iou(lifted, region) > iou(pointed, region) > 0.3


def test_a_draft_is_clicked_in_and_only_what_was_clicked_is_lifted(client):
    """The draft costs the readings alone; a click after it, the lifting of one mask, and the painting."""
    prompt = client.workflow(CLICK, fresh_picture(client, "draft.png"))
    prompt = with_inputs(prompt, "ImageScaleToTotalPixels", megapixels=PIXELS.shape[0] * PIXELS.shape[1] / 2**20)
    prompt = with_inputs(prompt, "KSampler", steps=2)
    selecting, lifting = find(prompt, "EmerDiffSelectSegments"), find(prompt, "EmerDiffLiftMask")
    assert client.evaluations(prompt) == 2, "the picture with its surroundings, and mirrored"
    entry = client.run(prompt)[selecting]["emerdiff_segments"][0]
    labels = client.labels(entry)
    region = SCENE.labels == 2
    clicked = with_inputs(prompt, "EmerDiffSelectSegments", selection=str(labels[interior(region)]))
    shown = add(clicked, "PreviewImage", images=[add(clicked, "MaskToImage", mask=[lifting, 0]), 0])
    count = client.evaluations(clicked)
    assert 0 < count <= 2 + 2, "two steps of fast for one mask, two steps of the painting"
    lifted = client.pixels(client.run(clicked)[shown])[0, ..., 0] > 0
    assert lifted[interior(region)]


def test_a_transformer_s_draft_is_clicked_in_and_the_thing_cut_out(client):
    """With the small Flux, whose tokens have 16 pixels a side, on the scene in more pixels."""
    image, labels, _ = scene(HELD_OUT + 1, 2 * SIZE)
    pixels = Image.fromarray((image * 255).round().astype(np.uint8))
    region = labels == 2
    row, column = interior(region)
    prompt = replace_loaders(load_prompt(ANY_MODEL))
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("larger.png", pixels))
    prompt = with_inputs(prompt, "EmerDiffSegmentImage", segments=14)
    assert client.evaluations(prompt) == 2, "the picture with its surroundings, and mirrored; nothing is selected"
    clicked = with_inputs(prompt, "EmerDiffSelectSegments", positive_points=json.dumps([{"x": column, "y": row}]))
    assert client.evaluations(clicked) == 0
    outputs = client.run(clicked)
    assert iou(cut_out(client, clicked, outputs), region) > 0.5


def cut_out(client, prompt, outputs) -> np.ndarray:
    """What the saved picture shows [H, W] bool; a pixel or two at its edge are neither whole nor gone."""
    file = client.server.fetch(outputs[find(prompt, "SaveImage")]["images"][0])
    alpha = np.asarray(Image.open(io.BytesIO(file)))[..., 3]
    faded = (alpha > 0) & (alpha < 255)
    assert 0 < faded.sum() < 2 * boundaries(alpha > 127).sum()
    return alpha > 127


@pytest.mark.parametrize("name", [Z_IMAGE, QWEN_EDIT, KLEIN])
def test_a_thing_that_was_clicked_is_replaced_and_the_rest_stays(client, name):
    """Of the models that people load the graph, with the small Flux in their place: painted inside the mask alone."""
    size = 2 * SIZE
    image, labels, _ = scene(HELD_OUT + 1, size)
    pixels = (image * 255).round().astype(np.uint8)
    row, column = interior(labels == 2)
    prompt = replace_loaders(load_prompt(name))
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("replaced.png", Image.fromarray(pixels)))
    prompt = with_inputs(prompt, "ImageScaleToTotalPixels", megapixels=size**2 / 2**20)
    prompt = with_inputs(prompt, "EmerDiffSegmentImage", segments=14)
    prompt = with_inputs(prompt, "EmerDiffSelectSegments", positive_points=json.dumps([{"x": column, "y": row}]))
    mask = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[find(prompt, "GrowMask"), 0]), 0])
    outputs = client.run(with_inputs(prompt, "Flux2Scheduler" if name == KLEIN else "KSampler", steps=2))
    inside = client.pixels(outputs[mask])[0, ..., 0] > 0
    painted = client.pixels(outputs[find(prompt, "SaveImage")])[0].astype(int)
    changed = np.abs(painted - pixels).max(-1)
    assert painted.shape == pixels.shape and inside[row, column] and not inside.all()
    assert changed[~inside].max() <= 1 and np.median(changed[inside]) > 1


def test_a_word_becomes_segments_and_a_soft_mask_with_a_transformer(client):
    """Of the small Flux, which hardly tells one thing from another: masks come out, and where they lie together."""
    image, labels, _ = scene(HELD_OUT + 1, 2 * SIZE)
    pixels = Image.fromarray((image * 255).round().astype(np.uint8))
    prompt = replace_loaders(load_prompt(WORD_WITH_FLUX))
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("worded.png", pixels))
    prompt = with_inputs(prompt, "EmerDiffSegmentImage", segments=14)
    prompt = with_inputs(prompt, "EmerDiffSelectByText", text="star", counter_words="sky, ground, tree")
    outputs = client.run(prompt)
    found = cut_out(client, prompt, outputs)
    soft = client.pixels(outputs[find(prompt, "MaskPreview")])[0, ..., 0]
    assert 0 < found.sum() < found.size and found.shape == labels.shape == soft.shape
    assert soft.max() > 128 > soft.min() and soft[found].mean() > soft[~found].mean()


# Of the models that these workflows load: the class, and the tokenizer.
TRUE = {
    Z_IMAGE: ("Z-Image", "z_image.ZImageTokenizer"),
    QWEN_EDIT: ("Qwen-Image", "qwen_image.QwenImageTokenizer"),
    KLEIN: ("Flux.2", "flux.KleinTokenizer"),
    WORD_WITH_FLUX: ("Flux.1 schnell", "flux.FluxTokenizer"),
}


def with_true_class(client, name: str) -> tuple[dict, np.ndarray]:
    """A workflow with a small random model of the class that it names, and its picture."""
    prompt = replace_loaders(load_prompt(name))
    family, tokenizer = TRUE[name]
    prompt[find(prompt, "EmerDiffLabSmallFlux")] = {
        "class_type": "TestFamily",
        "inputs": {"name": family, "tokenizer": tokenizer},
    }
    image, _, _ = scene(HELD_OUT + 1, 2 * SIZE)
    pixels = (image * 255).round().astype(np.uint8)
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("true.png", Image.fromarray(pixels)))
    return with_inputs(prompt, "EmerDiffSegmentImage", segments=5), pixels


@pytest.mark.parametrize("name", [Z_IMAGE, QWEN_EDIT, KLEIN])
def test_a_click_is_painted_over_by_the_true_class_of_model(client, name):
    """Weights are random: where the mask lies and what is painted means nothing, but that the click decides on it."""
    prompt, pixels = with_true_class(client, name)
    prompt = with_inputs(prompt, "ImageScaleToTotalPixels", megapixels=pixels.shape[0] ** 2 / 2**20)
    prompt = with_inputs(prompt, "Flux2Scheduler" if name == KLEIN else "KSampler", steps=1)
    if name == QWEN_EDIT:
        way = {"reference_latents_method": "index_timestep_zero"}
        prompt = with_inputs(prompt, "FluxKontextMultiReferenceLatentMethod", **way)
    mask = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[find(prompt, "GrowMask"), 0]), 0])
    saving = find(prompt, "SaveImage")
    unpainted = {key: node for key, node in prompt.items() if key != saving}
    picking = client.run(unpainted)[find(prompt, "EmerDiffSelectSegments")]
    labels = client.labels(picking["emerdiff_segments"][0])
    one, other = np.unique(labels)[:2]
    outputs = client.run(with_inputs(unpainted, "EmerDiffSelectSegments", selection=str(one)))
    assert (client.pixels(outputs[mask])[0, ..., 0] > 0)[labels == one].all()
    outputs = client.run(with_inputs(prompt, "EmerDiffSelectSegments", selection=str(other)))
    inside = client.pixels(outputs[mask])[0, ..., 0] > 0
    changed = np.abs(client.pixels(outputs[saving])[0].astype(int) - pixels).max(-1)
    assert inside[labels == other].all() and not inside[labels == one].all()
    assert changed[~inside].max() <= 1 and np.median(changed[inside]) > 1


def test_a_word_is_looked_for_by_the_true_class_of_model(client):
    """Weights are random: where a word is found means nothing, but that the word decides on it."""
    prompt, pixels = with_true_class(client, WORD_WITH_FLUX)
    softs = []
    for word in ("star", "dog"):
        worded = with_inputs(prompt, "EmerDiffSelectByText", text=word)
        outputs = client.run(worded)
        softs.append(client.pixels(outputs[find(prompt, "MaskPreview")])[0, ..., 0])
        assert cut_out(client, worded, outputs).any() and softs[-1].shape == pixels.shape[:2]
        assert softs[-1].max() > softs[-1].min()
    assert (softs[0] != softs[1]).any()
