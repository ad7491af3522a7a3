"""Masks and segmentations in the formats of nodes outside this pack: ComfyUI's BOUNDING_BOX, the Impact Pack's SEGS."""

from typing import NamedTuple

from torch import Tensor

from ...emerdiff_ops.segments.boxes import Box, box_around, boxes_of_segments, crop_region, cropped_mask
from ...emerdiff_ops.segments.labels import deal_out
from ...emerdiff_ops.segments.regions import pixels_of_parts
from ...emerdiff_ops.segments.texts import Part, split_fingerprint
from ..host.progress import Progress, counted, show_notes
from .belongs import check_belongs, check_kind
from .checks import in_full, masks_of, pictures_of
from .picks import CHANGED, numbers_of
from .values import Segmentation

# --- boxes ---


def bounding_boxes(masks: Tensor, image: Tensor | None = None, padding=0) -> list[list[dict]]:
    """The boxes of each picture of `image`, from masks [B * K, H, W], K for each in turn; empty masks have no box."""
    masks = masks_of(masks)
    dealt = deal_out(masks, count_of_pictures(masks, image))  # [B, K, H, W]
    rows = [(picture, row, mask) for picture, own in enumerate(dealt) for row, mask in enumerate(own)]
    found: list[list[dict]] = [[] for _ in dealt]
    for picture, row, mask in counted(rows, "masks"):
        box = box_around(in_full(mask), padding)
        if box:
            found[picture].append(as_bounding_box(box, row))
    if not any(found):
        raise ValueError(
            "every mask is empty, 0 everywhere, so there is nothing to put a box around; check what makes the masks "
            "(without make_masks a node of EmerDiff gives an empty one)"
        )
    return found


def count_of_pictures(masks: Tensor, image: Tensor | None) -> int:
    """How many pictures the masks [M, H, W] belong to: one where there is no image."""
    if image is None:
        return 1
    image = pictures_of(image)
    if image.shape[1:3] != masks.shape[1:]:
        raise ValueError(
            f"masks of {masks.shape[2]} x {masks.shape[1]} do not belong to pictures of {image.shape[2]} x "
            f"{image.shape[1]}; connect the image they were made from, or none for a single picture"
        )
    return len(image)


def as_bounding_box(box: Box, row: int) -> dict:
    x1, y1, x2, y2 = box
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "label": str(row)}


# --- SEGS ---


class SEG(NamedTuple):
    """One region as the Impact Pack reads it, by these names and in this order; boxes are (x1, y1, x2, y2)."""

    cropped_image: Tensor | None  # [1, h, w, 3]
    cropped_mask: object  # numpy [h, w] float32, the mask inside the crop region
    confidence: float
    crop_region: Box
    bbox: Box
    label: str
    control_net_wrapper: object = None


def segs_of_pictures(segmentation: Segmentation, image=None, selection="", crop_factor=3.0, min_area=0.001) -> list:
    """SEGS of each picture: ((H, W), [SEG, ...]) of the selected segments, or of all where nothing is selected.

    The selection is read as in Select Segments, with the same note where it was made on other segments.
    """
    check_kind(segmentation, Segmentation)
    pictures = picture_of_each(segmentation, image)
    (numbers,) = numbers_of(selection, [segmentation])
    show_notes([CHANGED.format(numbers.made_on)] * numbers.are_old)
    named = split_fingerprint(selection)[0].strip()
    picked = numbers.lists if named else [list(range(count)) for count in segmentation.of_each]
    regions = [*map(with_parts, segmentation.labels, picked, numbers.parts, segmentation.of_each)]
    progress = Progress("segments")
    progress.expect("segments", sum(len(names) for _, names in regions), 1.0)
    return [
        to_segs(labels, picture, names, crop_factor, min_area, progress)
        for (labels, names), picture in zip(regions, pictures, strict=True)
    ]


def with_parts(labels: Tensor, numbers: list[int], parts: list[Part], count: int) -> tuple[Tensor, dict[int, str]]:
    """Labels [H, W] in which connected parts have their own numbers, from `count` on, and the name of each number."""
    names = {number: str(number) for number in numbers}
    for number, part in enumerate((part for part in parts if part.number not in numbers), count):
        if int(labels[part.y, part.x]) == part.number:  # skips a part named twice
            labels = labels.masked_fill(pixels_of_parts(labels, [part]), number)
            names[number] = str(part)
    return labels, names


def picture_of_each(segmentation: Segmentation, image: Tensor | None) -> list[Tensor | None]:
    """The picture of each label map, None where none is connected."""
    if image is None:
        return [None] * len(segmentation.labels)
    return list(check_belongs(image, segmentation.labels.shape))


def to_segs(
    labels: Tensor, picture: Tensor | None, names: dict, crop_factor: float, min_area: float, progress: Progress
):
    """((H, W), [SEG, ...]) of the segments `names` of labels [H, W] that cover at least `min_area` of the map."""
    boxes, (height, width) = boxes_of_segments(labels), labels.shape
    segs = []
    for number, name in names.items():
        if number in boxes:
            x1, y1, x2, y2 = box = boxes[number]
            inside = labels[y1:y2, x1:x2] == number
            if inside.sum() >= min_area * labels.numel():
                region = crop_region(box, crop_factor, width, height)
                mask = cropped_mask(inside, box, region).numpy()
                segs.append(SEG(None, mask, 1.0, region, box, name))
        progress.step("segments")
    return (height, width), segs if picture is None else with_crops(segs, picture)


def with_crops(segs: list[SEG], picture: Tensor) -> list[SEG]:
    """The SEGS with their crops of a picture [H, W, 3]: views of one copy of the area that holds all regions.

    The copy protects the picture on the wire from nodes that write into a crop. Overlapping crops share memory. That is
    safe: the Impact Pack's nodes read crops or copy them first (SEGSDetailer, SEGSPaste, SEGSPreview, Picker), and its
    own detectors give views of the picture itself.
    """
    if not segs:
        return segs
    lefts, tops, rights, bottoms = zip(*(seg.crop_region for seg in segs))
    x, y = min(lefts), min(tops)
    whole = picture[None, y : max(bottoms), x : max(rights)].cpu().clone()
    crops = [
        whole[:, top - y : bottom - y, left - x : right - x]
        for left, top, right, bottom in zip(lefts, tops, rights, bottoms)
    ]
    return [seg._replace(cropped_image=crop) for seg, crop in zip(segs, crops)]
