"""A thing through a video, in a real ComfyUI: clicked in one frame, there in all, the rest darkened."""

import json

import numpy as np
import pytest
from PIL import Image

from comfyui.in_process import REPOSITORY
from comfyui.workflow import VIDEO, add, find, load_prompt, replace_loaders, with_inputs
from measure.metrics import interior, iou
from show.video_file import RATE, decoded, encoded
from small_model.clips import clip

LEFT = REPOSITORY / "test_output" / "video"  # frames before and after, for the workflow's thumbnail
SEED, FRAMES = 20_000_001, 12
CLIP = clip(SEED, FRAMES)
THING = CLIP.labels[0].max()  # drawn last: nothing passes in front of it


@pytest.fixture(scope="module")
def prompt(client):
    client.server.put_input("clip.mp4", encoded(CLIP.images))
    return with_inputs(replace_loaders(load_prompt(VIDEO)), "LoadVideo", file="clip.mp4")


@pytest.fixture(scope="module")
def clicked(client, prompt):
    """The thing pointed at in the first frame: its masks [N, H, W], the video that comes of it, and its rate."""
    row, column = interior(CLIP.labels[0] == THING)
    clicked = with_inputs(prompt, "EmerDiffSelectSegments", positive_points=json.dumps([{"x": column, "y": row}]))
    mask = add(clicked, "MaskToImage", mask=[find(clicked, "EmerDiffSelectSegments"), 0])
    shown = add(clicked, "PreviewImage", images=[mask, 0])
    outputs = client.run(clicked)
    masks = client.pixels(outputs[shown])[..., 0] > 0
    (file,) = outputs[find(clicked, "SaveVideo")]["images"]
    video, rate = decoded(client.server.fetch(file))
    LEFT.mkdir(parents=True, exist_ok=True)
    for name, pictures in (("frame", np.uint8(CLIP.images * 255)), ("result", video)):
        for number in (0, FRAMES - 1):
            Image.fromarray(pictures[number]).save(LEFT / f"{name}_{number}.png")
    return masks, video, rate


def test_without_a_click_nothing_is_made(client, prompt):
    outputs = client.run(prompt)
    assert find(prompt, "SaveVideo") not in outputs
    assert len(outputs[find(prompt, "EmerDiffSelectSegments")]["emerdiff_segments"]) == FRAMES


def test_a_thing_clicked_in_one_frame_is_there_in_all(clicked):
    masks, *_ = clicked
    assert masks.shape == CLIP.labels.shape
    each = [iou(mask, labels == THING) for mask, labels in zip(masks, CLIP.labels)]
    assert min(each) > 0.3 and np.mean(each) > 0.5


def test_the_video_is_as_long_and_fast_and_only_what_was_not_clicked_is_darker(clicked):
    masks, video, rate = clicked
    assert video.shape == CLIP.images.shape and rate == RATE
    before = CLIP.images * 255
    ratio = [video[where].mean() / before[where].mean() for where in (masks, ~masks)]
    assert ratio[0] > 0.85 and ratio[1] < 0.35
