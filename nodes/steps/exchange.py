"""Masks and segmentations in the forms that nodes of others take: ComfyUI's BOUNDING_BOX, the Impact Pack's SEGS."""

from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.segments.boxes import Box, box_around, crop_region
from ...emerdiff_ops.segments.selection import parse_selections, split_fingerprint
from .checks import check_belongs, check_kind, masks_of, pictures_of
from .values import Segmentation

# --- boxes ---


def bounding_boxes(masks: Tensor, image: Tensor | None = None, padding=0) -> list[list[dict]]:
    """The boxes of each picture of `image`: masks [B * K, H, W], K after K for each; empty masks have none."""
    masks = masks_of(masks)
    share = masks_a_picture(masks, image)
    boxes = [box_around(mask, padding) for mask in masks]
    found = [
        [as_bounding_box(box, row) for row, box in enumerate(boxes[start : start + share]) if box]
        for start in range(0, len(masks), share)
    ]
    if not any(found):
        raise ValueError("every mask is empty, so there is nothing to put a box around; check what makes the masks")
    return found


def masks_a_picture(masks: Tensor, image: Tensor | None) -> int:
    """How many of the masks belong to each picture; all of them without an image."""
    if image is None:
        return len(masks)
    image = pictures_of(image)
    if image.shape[1:3] != masks.shape[1:] or len(masks) % len(image):
        raise ValueError(
            f"{len(masks)} masks of {masks.shape[2]} x {masks.shape[1]} do not belong to {len(image)} pictures of "
            f"{image.shape[2]} x {image.shape[1]}; connect the image they were made from, or none for a single picture"
        )
    return len(masks) // len(image)


def as_bounding_box(box: Box, row: int) -> dict:
    x1, y1, x2, y2 = box
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "label": str(row)}


# --- SEGS ---


class SEG(NamedTuple):
    """One region as the Impact Pack reads it, by these names and in this order; boxes are (x1, y1, x2, y2)."""

    cropped_image: Tensor | None  # [1, h, w, 3]
    cropped_mask: object  # numpy [h, w] float32, what the crop region holds of the mask
    confidence: float
    crop_region: Box
    bbox: Box
    label: str
    control_net_wrapper: object = None


def segs_of_pictures(segmentation: Segmentation, image=None, selection="", crop_factor=3.0, min_area=0.001) -> list:
    """SEGS of each picture: ((H, W), [SEG, ...]) of the selected segments, or of all where nothing is selected."""
    check_kind(segmentation, Segmentation)
    pictures = picture_of_each(segmentation, image)
    every = list(range(segmentation.count))
    text, _ = split_fingerprint(selection)
    picked = parse_selections(text, segmentation.count, len(pictures)) if text.strip() else [every] * len(pictures)
    return [
        to_segs(labels, picture, numbers, crop_factor, min_area)
        for labels, picture, numbers in zip(segmentation.labels, pictures, picked, strict=True)
    ]


def picture_of_each(segmentation: Segmentation, image: Tensor | None) -> list[Tensor | None]:
    """The picture of each label map, None where none is connected."""
    if image is None:
        return [None] * len(segmentation.labels)
    return list(check_belongs(image, segmentation.labels.shape))


def to_segs(labels: Tensor, picture: Tensor | None, numbers, crop_factor: float, min_area: float):
    """((H, W), [SEG, ...]) of the segments `numbers` of labels [H, W] that cover `min_area` of it or more."""
    masks = ((number, labels == number) for number in numbers)
    large = ((number, mask, box_around(mask)) for number, mask in masks if mask.sum() >= min_area * mask.numel())
    return tuple(labels.shape), [
        to_seg(mask, box, picture, crop_factor, str(number)) for number, mask, box in large if box
    ]


def to_seg(mask: Tensor, box: Box, picture: Tensor | None, crop_factor: float, label: str) -> SEG:
    height, width = mask.shape
    x1, y1, x2, y2 = region = crop_region(box, crop_factor, width, height)
    cropped_image = None if picture is None else picture[None, y1:y2, x1:x2].cpu().clone()
    cropped_mask = mask[y1:y2, x1:x2].float().cpu().numpy()
    return SEG(cropped_image, cropped_mask, 1.0, region, box, label)
