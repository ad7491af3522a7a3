"""The workflow that refines a rough mask, and merging, in a real ComfyUI."""

import numpy as np
from PIL import Image
from server_client import PIXELS, SCENE
from test_changes import evaluations, fresh_picture

from comfyui.workflow import REFINE, STEPS, add, find, load_prompt, replace_loaders, with_inputs
from measure.metrics import iou
from small_model.settings import STRENGTH


def test_a_box_painted_in_the_mask_editor_becomes_the_object(client):
    region = SCENE.labels == 2
    box = np.zeros(region.shape, bool)
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    painted = Image.fromarray(PIXELS)
    painted.putalpha(Image.fromarray(np.uint8(255) * ~box))
    prompt = replace_loaders(load_prompt(REFINE, client.info))
    prompt = with_inputs(prompt, "LoadImage", image=client.put_image("painted.png", painted))
    prompt = with_inputs(prompt, "EmerDiffLiftMask", strength=STRENGTH)
    outputs = client.run(prompt)
    lifted = client.masks(prompt, outputs)[0] > 0
    assert lifted.shape == region.shape
    assert iou(lifted, region) > iou(box, region) + 0.05
    cut_out = client.server.fetch(outputs[find(prompt, "SaveImage")]["images"][0])
    (client.server.base / "cut.png").write_bytes(cut_out)
    alpha = np.asarray(Image.open(client.server.base / "cut.png"))[..., 3]
    assert ((alpha > 127) == lifted).mean() > 0.99  # the soft mask, whose border at 0.5 is the hard one's


def test_merging_to_another_number_runs_no_unet(client):
    prompt = client.workflow(STEPS, fresh_picture(client, "merge.png"))
    segmentation, features = [find(prompt, "EmerDiffAssembleMasks"), 1], [find(prompt, "EmerDiffExtractFeatures"), 0]
    merge = add(prompt, "EmerDiffMergeSegments", segmentation=segmentation, features=features, target=4, similarity=0.0)
    shown = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[merge, 1]), 0])
    outputs = client.run(prompt)
    assert len(client.pixels(outputs[shown])) == 4
    fewer = with_inputs(prompt, "EmerDiffMergeSegments", target=2)
    assert evaluations(client, fewer) == 0
    masks = client.pixels(client.run(fewer)[shown])[..., 0]
    assert len(masks) == 2 and (masks.sum(0, dtype=int) == 255).all()
