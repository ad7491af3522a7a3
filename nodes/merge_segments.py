"""segmentation -> fewer segments: joins neighbours that are alike."""

from comfy_api.latest import io

from . import inputs
from .results import segmentation_outputs, segmentation_result
from .steps.merge import merge_alike
from .wires import FeaturesType, SegmentationType


class EmerDiffMergeSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        masks, segmentation, label_image = segmentation_outputs()
        return io.Schema(
            node_id="EmerDiffMergeSegments",
            display_name="EmerDiff Merge Segments",
            category="EmerDiff",
            description="Join neighbours that mean the same to the model: fewer, larger segments. Instant, so "
            "granularity is a slider.",
            search_aliases=["granularity", "fewer segments", "join masks", "merge masks", "hierarchical segmentation"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                FeaturesType.Input(
                    "features", tooltip="Of the same pictures, from EmerDiff Extract Features with the same seed."
                ),
                io.Int.Input(
                    "target",
                    default=8,
                    min=0,
                    max=256,
                    tooltip="How many segments to leave in each picture, or in all together where a number means the "
                    "same in all of them. 0 = as many as similarity allows.",
                ),
                io.Float.Input(
                    "similarity",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Neighbours less alike than this (cosine of their features) stay apart. 0 = no such "
                    "limit. Merging ends at the first limit reached.",
                ),
                inputs.make_masks(),
            ],
            outputs=[segmentation, masks, label_image],
        )

    @classmethod
    def execute(cls, segmentation, features, target, similarity, make_masks=True) -> io.NodeOutput:
        given = segmentation_result(merge_alike(segmentation, features, target, similarity), make_masks)
        masks, fewer, label_image = given.result
        return io.NodeOutput(fewer, masks, label_image, ui=given.ui)
