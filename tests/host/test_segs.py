"""What is handed to other packs and to core in this process: SEGS, bounding boxes, inpainting conditionings."""

import numpy as np
import pytest
import torch
from cancelling import calls_until_cancelled
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.emerdiff_ops.segments.boxes import select_in_boxes
from emerdiff.emerdiff_ops.segments.texts import parse_boxes_in
from emerdiff.nodes.bounding_boxes import EmerDiffBoundingBoxes
from emerdiff.nodes.host.latents import to_output
from emerdiff.nodes.steps import exchange
from emerdiff.nodes.steps.values import Segmentation
from emerdiff.nodes.to_segs import EmerDiffToSEGS

import nodes

HEIGHT, WIDTH = 60, 80


@pytest.fixture
def labels():
    """0 all around, 1 a box at the left border, 2 a disc, 3 two pixels, 4 nowhere."""
    labels = torch.zeros(HEIGHT, WIDTH, dtype=torch.int16)
    labels[10:20, 0:30] = 1
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    labels[(x - 60) ** 2 + (y - 40) ** 2 <= 9**2] = 2
    labels[0, 40:42] = 3
    return labels


@pytest.fixture
def image():
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))


def to_segs(labels, **inputs):
    """The SEGS of each picture."""
    return EmerDiffToSEGS.execute(segmentation=Segmentation(labels, 5), **inputs).result[0]


def combined_mask(segs) -> np.ndarray:
    """All masks in one picture, as the Impact Pack reads them: numpy, in levels of 255, by crop region."""
    size, parts = segs
    levels = np.zeros(size, np.uint8)
    for seg in parts:
        left, top, right, bottom = seg.crop_region
        levels[top:bottom, left:right] |= (seg.cropped_mask * 255).astype(np.uint8)
    return levels / 255


def detailed(picture: np.ndarray, segs, change) -> np.ndarray:
    """A detailer: change the crop, paste it back under the mask."""
    result = picture.copy()
    for seg in segs[1]:
        left, top, right, bottom = seg.crop_region
        crop = change(result[:, top:bottom, left:right, :])
        mask = torch.from_numpy(seg.cropped_mask)[None, ..., None].numpy()
        result[:, top:bottom, left:right, :] = (1 - mask) * result[:, top:bottom, left:right, :] + mask * crop
    return result


def test_segs_say_what_the_segmentation_says(labels, image):
    ((size, parts),) = to_segs(labels[None], image=image, min_area=0.0)
    assert size == (HEIGHT, WIDTH) and [seg.label for seg in parts] == ["0", "1", "2", "3"]
    names = ("cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper")
    for seg in parts:
        assert type(seg)._fields == names and type(seg)(*seg[:-1]) == seg  # the last one may be left out
        left, top, right, bottom = seg.crop_region
        assert isinstance(seg.cropped_mask, np.ndarray) and seg.cropped_mask.dtype == np.float32
        assert seg.cropped_mask.shape == (bottom - top, right - left)
        assert (seg.cropped_mask == (labels == int(seg.label)).numpy()[top:bottom, left:right]).all()
        assert torch.equal(seg.cropped_image, image[:, top:bottom, left:right])
        assert seg.confidence == 1.0 and seg.control_net_wrapper is None
    assert parts[1].bbox == (0, 10, 30, 20) and parts[1].crop_region == (0, 0, WIDTH, 30)
    assert parts[2].bbox == (51, 31, 70, 50) and parts[2].crop_region == (23, 3, 80, 60)
    assert all(isinstance(side, int) for seg in parts for side in (*seg.bbox, *seg.crop_region))


def test_impact_packs_way_of_reading_them_gives_the_masks_back(labels):
    (segs,) = to_segs(labels[None], selection="1-2")
    assert (combined_mask(segs) == ((labels == 1) | (labels == 2)).numpy()).all()
    assert all(seg.cropped_image is None for seg in segs[1])


def test_a_connected_part_becomes_segs_of_its_own(labels):
    labels[40:50, 0:9] = 1
    ((_, parts),) = to_segs(labels[None], selection="2, 1:3:12, 1:8:49, 1:0:40, 2:60:40")
    assert [(seg.label, seg.bbox) for seg in parts[1:]] == [("1:0:40", (0, 40, 9, 50)), ("1:3:12", (0, 10, 30, 20))]
    assert parts[0].label == "2" and parts[0].bbox == (51, 31, 70, 50)


def test_a_detailer_changes_the_segments_and_nothing_else(labels, image):
    (segs,) = to_segs(labels[None], selection="2", crop_factor=1.5)
    before = image.numpy()
    after = detailed(before, segs, lambda crop: 1 - crop)
    inside = (labels == 2).numpy()
    np.testing.assert_allclose(after[0][inside], 1 - before[0][inside], rtol=1e-6)
    assert (after[0][~inside] == before[0][~inside]).all()


@pytest.mark.parametrize(
    "inputs, kept",
    [
        ({}, ["0", "1", "2"]),  # two pixels are less than a thousandth
        ({"min_area": 0.0}, ["0", "1", "2", "3"]),
        ({"min_area": 300 / (HEIGHT * WIDTH)}, ["0", "1"]),  # exactly as large stays
        ({"selection": "2, 4", "min_area": 0.0}, ["2"]),  # a segment without a pixel is never there
        ({"selection": "4"}, []),
    ],
)
def test_which_segments_become_segs(labels, inputs, kept):
    ((_, parts),) = to_segs(labels[None], **inputs)
    assert [seg.label for seg in parts] == kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_batch_gives_segs_picture_by_picture_that_own_their_data(labels, image, dtype):
    both = torch.stack([labels, labels.flip(1)])
    images = torch.cat([image, image.flip(2)]).to(dtype)
    images = torch.cat([images, images[..., :1]], -1)  # RGBA
    kept = both.clone(), images.clone()
    first, second = to_segs(both, image=images, selection="1")
    assert second[1][0].bbox == (WIDTH - 30, 10, WIDTH, 20)
    assert second[1][0].cropped_image.shape[-1] == 3 and second[1][0].cropped_image.dtype == torch.float32
    first[1][0].cropped_mask[:], first[1][0].cropped_image[:] = 7, 7
    assert torch.equal(both, kept[0]) and torch.equal(images, kept[1])


def test_crops_are_views_of_one_copy_of_what_they_hold(labels, image):
    ((_, parts),) = to_segs(labels[None], image=image, min_area=0.0)
    held = {seg.cropped_image.untyped_storage().data_ptr() for seg in parts}
    assert len(held) == 1 and image.untyped_storage().data_ptr() not in held
    assert parts[0].cropped_image.untyped_storage().nbytes() == image.nbytes
    ((_, (alone,)),) = to_segs(labels[None], image=image, selection="2", crop_factor=1.0)
    assert alone.cropped_image.untyped_storage().nbytes() == alone.cropped_image.nbytes  # not the whole picture


def test_segs_and_boxes_hear_cancel_within_a_segment(labels, image, monkeypatch):
    several = labels.repeat(3, 1, 1)
    assert (
        calls_until_cancelled(
            monkeypatch, exchange, "crop_region", lambda: to_segs(several, image=image.repeat(3, 1, 1, 1))
        )
        < 4
    )
    masks = one_hot(several, 4).flatten(0, 1)
    assert calls_until_cancelled(monkeypatch, exchange, "box_around", lambda: boxes(masks=masks)) < 4


def test_another_image_or_selection_is_refused(labels, image):
    with pytest.raises(ValueError, match="connect the image that was segmented, or none"):
        to_segs(labels[None], image=image[:, 1:])
    with pytest.raises(ValueError, match="0-4"):
        to_segs(labels[None], selection="5")


def boxes(**inputs):
    return EmerDiffBoundingBoxes.execute(**inputs).result


def test_boxes_are_sorted_by_picture_and_labelled_by_row(labels, image):
    """Row 4 is empty in the first picture and rows 1 to 4 in the second; an empty mask has no box."""
    masks = torch.stack([picture == number for picture in (labels, labels * 0) for number in range(5)]).float()
    found, each = boxes(masks=masks, image=torch.cat([image, image]))
    assert [[box["label"] for box in picture] for picture in found] == [["0", "1", "2", "3"], ["0"]]
    assert found[0][1] == {"x": 0, "y": 10, "width": 30, "height": 10, "label": "1"}
    assert each == found[0] + found[1]
    assert [len(picture) for picture in boxes(masks=masks)[0]] == [5]  # of one picture


def test_our_boxes_are_read_back(labels):
    found, (box,) = boxes(masks=(labels == 2).half())  # without a batch dimension, as some packs have it
    for value in (found, box):
        assert select_in_boxes(labels, parse_boxes_in([(WIDTH, HEIGHT)], value)[0]) == [2]


def test_boxes_that_cannot_be_made_say_why(labels, image):
    with pytest.raises(ValueError, match="every mask is empty"):
        boxes(masks=torch.zeros(3, HEIGHT, WIDTH))
    for masks in (torch.ones(3, HEIGHT, WIDTH), torch.ones(2, WIDTH, HEIGHT)):
        with pytest.raises(ValueError, match="cannot be dealt out to 2 pictures|do not belong to pictures of 80 x 60"):
            boxes(masks=masks, image=torch.cat([image, image]))


def test_inpaint_model_conditioning_holds_the_mask_and_the_grey_picture(small, photo):
    """An inpainting model reads these; others read the latent and its noise mask alone."""
    _, vae, conditioning = small
    halves = torch.zeros(1, 128, 128, dtype=torch.int16)
    halves[:, 32:96, 40:] = 1
    mask = to_output(one_hot(halves, 2).flatten(0, 1))[1:]
    positive, negative, latent = nodes.InpaintModelConditioning().encode(
        conditioning, conditioning, photo, vae, mask, noise_mask=True
    )
    grey = torch.where(mask[..., None] > 0, 0.5, photo)
    for (_, values), *_ in (positive, negative):
        assert torch.equal(values["concat_mask"].squeeze(1), mask)
        torch.testing.assert_close(values["concat_latent_image"], vae.encode(grey))
    torch.testing.assert_close(latent["samples"], vae.encode(photo))
    assert torch.equal(latent["noise_mask"].squeeze(1), mask)
    shown = vae.decode(positive[0][1]["concat_latent_image"])  # its autoencoder loses nothing
    torch.testing.assert_close(shown, grey, atol=1e-3, rtol=0)
