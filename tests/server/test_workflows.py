"""The three bundled workflows in a real ComfyUI, on a held-out scene with the small trained model."""

import numpy as np
from server_client import PIXELS, SCENE, SEGMENTS

from comfyui.workflow import COMPARE, INPAINT, STEPS, add, find, find_after, with_inputs

SIZE = SCENE.labels.shape


def assert_partition(masks: np.ndarray, count: int, size: tuple[int, int]) -> None:
    """Hard masks, disjoint, that cover a picture of the size."""
    assert masks.shape == (count, *size)
    assert set(np.unique(masks)) <= {0, 255}
    assert (masks.sum(0, dtype=np.int64) == 255).all()


def test_one_node_gives_masks_labels_and_a_preview(client, segmented):
    prompt, outputs, _ = segmented
    masks = client.masks(prompt, outputs)
    assert_partition(masks, SEGMENTS, SIZE)
    segmenting = find(prompt, "EmerDiffSegmentImage")
    (label_image,) = client.pixels(outputs[find_after(prompt, "PreviewImage", segmenting)])
    assert label_image.shape == (*SIZE, 3)
    colours = [np.unique(label_image[mask > 0], axis=0) for mask in masks if mask.any()]
    assert all(len(colour) == 1 for colour in colours)  # one colour a segment
    assert len(np.unique(np.concatenate(colours), axis=0)) == len(colours)  # and no two alike
    assert client.pixels(outputs[segmenting]).shape == (1, *SIZE, 3)


def test_step_by_step_is_the_same_as_one_node(client, picture, segmented):
    prompt = client.workflow(STEPS, picture)
    stepwise = client.run(prompt)
    assert (client.masks(prompt, stepwise) == client.masks(segmented[0], segmented[1])).all()
    for node in ("EmerDiffClusterFeatures", "EmerDiffAssembleMasks"):
        assert stepwise[find(prompt, node)]["images"], f"{node} shows no preview"


def test_the_presets_are_compared_with_all_else_equal(client, picture):
    """And a prompt that names a preset that is gone runs as its successor."""
    prompt = client.workflow(COMPARE, picture, segments=2)
    each = {node["inputs"].pop("preset"): key for key, node in prompt.items() if "preset" in node["inputs"]}
    assert list(each) == ["draft", "fast", "balanced", "paper"]
    assert all(prompt[key]["inputs"] == prompt[each["draft"]]["inputs"] for key in each.values())
    for preset, key in (each | {"thorough": each["paper"]}).items():
        prompt[key]["inputs"]["preset"] = preset
    shown = {key: add(prompt, "PreviewImage", images=[key, 2]) for key in each.values()}
    outputs = client.run(prompt)
    draft, fast, balanced, gone = (client.pixels(outputs[node]) for node in shown.values())
    for key in each.values():
        overlay = client.pixels(outputs[key])[0]
        assert (overlay[1::8] != overlay[::8]).any(), "the coarse masks are shown, in blocks of eight pixels"
    assert (gone == balanced).all()
    assert all((one != balanced).any() for one in (draft, fast))


def test_inpainting_changes_the_selection_and_nothing_else(client, picture, segmented):
    masks = client.masks(segmented[0], segmented[1]) > 0
    chosen = int(np.argsort(masks.sum((1, 2)))[SEGMENTS // 2])  # of middling size
    prompt = client.workflow(INPAINT, picture)
    prompt = with_inputs(prompt, "ImageScaleToTotalPixels", megapixels=SIZE[0] * SIZE[1] / 2**20)
    prompt = with_inputs(prompt, "EmerDiffSelectSegments", selection=str(chosen), positive_points="")
    prompt = with_inputs(prompt, "GrowMask", expand=2)
    prompt = with_inputs(prompt, "KSampler", steps=8)
    before = add(prompt, "PreviewImage", images=[find(prompt, "ImageScaleToTotalPixels"), 0])
    grown = add(prompt, "MaskToImage", mask=[find(prompt, "GrowMask"), 0])
    shown = add(prompt, "PreviewImage", images=[grown, 0])
    selecting = find(prompt, "EmerDiffSelectSegments")
    outputs = client.run(prompt)
    (painted,), (original,) = client.pixels(outputs[find(prompt, "SaveImage")]), client.pixels(outputs[before])
    inside = client.pixels(outputs[shown])[0, ..., 0] > 0
    assert (original == PIXELS).all()
    assert (painted[~inside] == original[~inside]).all()
    assert np.abs(painted[inside].astype(int) - original[inside]).mean() > 5
    assert inside[masks[chosen]].all()
    assert client.pixels(outputs[selecting]).shape == (1, *SIZE, 3)
