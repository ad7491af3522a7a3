"""masks -> the boxes around them, in the form of ComfyUI's BOUNDING_BOX."""

from comfy_api.latest import io

from .steps.exchange import bounding_boxes


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
                io.Mask.Input(
                    "masks",
                    tooltip="Any masks: all segments, a selection, soft ones. A pixel counts from half of the mask's "
                    "largest value.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The pictures the masks belong to. Needed for a batch, to sort the boxes by picture.",
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
