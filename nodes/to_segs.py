"""segmentation -> SEGS, as the Impact Pack's detailers take them, without that pack."""

from comfy_api.latest import io

from . import inputs
from .steps.exchange import segs_of_pictures
from .wires import SegmentationType


class EmerDiffToSEGS(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffToSEGS",
            display_name="EmerDiff To SEGS",
            category="EmerDiff",
            description="Segments as SEGS, for the Impact Pack's detailers, filters and previews.",
            search_aliases=["segs", "impact pack", "detailer", "segmentation to segs", "masks to segs"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The segmented picture, for nodes that show or paste its crops. Detailers cut their own.",
                ),
                io.String.Input(
                    "selection", default="", tooltip='Segment numbers, such as "3, 7-9"; empty = all segments.'
                ),
                io.Float.Input(
                    "crop_factor",
                    default=3.0,
                    min=1.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Width and height of the crop over those of the segment's box, cut to fit the picture.",
                ),
                inputs.share_of_picture(
                    "min_area", 0.001, "Segments smaller than this fraction of the picture are left out, named or not."
                ),
            ],
            outputs=[
                io.Custom("SEGS").Output(
                    display_name="segs",
                    is_output_list=True,
                    tooltip="One SEG per segment, its label the segment's number. A batch gives one SEGS per picture.",
                )
            ],
        )

    @classmethod
    def execute(cls, segmentation, selection="", crop_factor=3.0, min_area=0.001, image=None) -> io.NodeOutput:
        return io.NodeOutput(segs_of_pictures(segmentation, image, selection, crop_factor, min_area))
