"""masks -> the boxes around them, in the form of ComfyUI's BOUNDING_BOX."""

from comfy_api.latest import io

from ..emerdiff_ops.boxes import box_around


def bounding_boxes(masks, image=None, padding=0) -> list[list[dict]]:
    """The boxes of each picture of `image`: masks [B * K, H, W], K after K for each; empty masks have none."""
    if masks.numel() == 0:
        raise ValueError("there are no masks: they have no rows or no pixels; check the node that makes them")
    masks = masks.reshape(-1, *masks.shape[-2:])
    share = masks_per_picture(masks, image)
    boxes = [box_around(mask, padding) for mask in masks]
    found = [
        [as_bounding_box(box, row) for row, box in enumerate(boxes[start : start + share]) if box]
        for start in range(0, len(masks), share)
    ]
    if not any(found):
        raise ValueError("every mask is empty, so there is nothing to put a box around; check what makes the masks")
    return found


def masks_per_picture(masks, image) -> int:
    """All of them without an image."""
    if image is None:
        return len(masks)
    if image.shape[1:3] != masks.shape[1:] or not len(image) or len(masks) % len(image):
        raise ValueError(
            f"{len(masks)} masks of {masks.shape[2]} x {masks.shape[1]} do not belong to {len(image)} pictures of "
            f"{image.shape[2]} x {image.shape[1]}; connect the image they were made from, or none for a single picture"
        )
    return len(masks) // len(image)


def as_bounding_box(box, row: int) -> dict:
    x1, y1, x2, y2 = box
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "label": str(row)}


class EmerDiffBoundingBoxes(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffBoundingBoxes",
            display_name="EmerDiff Bounding Boxes",
            category="EmerDiff",
            description="The box around each mask, for cropping and for detectors that take boxes.",
            search_aliases=["mask to bbox", "bounding box", "bboxes", "crop by mask", "box from mask"],
            inputs=[
                io.Mask.Input("masks", tooltip="Any masks: all segments, a selection, soft ones (0.5 or more counts)."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The pictures the masks belong to; needed for a batch, to sort the boxes by picture.",
                ),
                io.Int.Input(
                    "padding",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Pixels to add at each side, as far as the picture goes.",
                ),
            ],
            outputs=[
                io.BoundingBox.Output(
                    display_name="bounding_boxes",
                    tooltip="A list of boxes for each picture, for SAM3 Detect, Draw BBoxes, SDPose, Crop by BBoxes.",
                ),
                io.BoundingBox.Output(
                    display_name="each_box",
                    is_output_list=True,
                    tooltip="The boxes one by one, for nodes that take a single box, such as Crop Image.",
                ),
            ],
        )

    @classmethod
    def execute(cls, masks, padding=0, image=None) -> io.NodeOutput:
        found = bounding_boxes(masks, image, padding)
        return io.NodeOutput(found, [box for boxes in found for box in boxes])
