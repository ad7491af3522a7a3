"""The EmerDiff nodes: image -> extract -> cluster -> modulate -> assemble -> select.

segment_image          image -> masks: all steps in one node
extract_features       image -> features, trajectory
cluster_features       features -> low-resolution masks
modulate_attention     low-resolution masks -> difference maps
assemble_masks         difference maps -> masks, segmentation
modulate_and_assemble  both in one, hidden: Segment Image expands into it
check                  hidden: refuses before any work what a later step would refuse
lists                  hidden: spread and gather the pictures of a list
select_segments        segmentation -> the mask that clicks, numbers and points pick
select_by_text         segmentation -> the masks of what words name
pick_by_points         points and boxes -> a rough mask
lift_mask              any rough mask -> a precise one
merge_segments         segmentation -> fewer segments
cut_out                picture and mask -> the thing on a transparent background
bounding_boxes         masks -> the boxes around them
to_segs                segmentation -> SEGS
save                   any value -> a file
load                   a file -> the value
inputs                 inputs that several nodes share
results                outputs and previews that several nodes share
wires                  the types of wires
steps/                 what the nodes do
host/                  what touches ComfyUI's internals
"""

from comfy_api.latest import ComfyExtension, io

from .assemble_masks import EmerDiffAssembleMasks
from .bounding_boxes import EmerDiffBoundingBoxes
from .check import EmerDiffCheck
from .cluster_features import EmerDiffClusterFeatures
from .cut_out import EmerDiffCutOut
from .extract_features import EmerDiffExtractFeatures
from .lift_mask import EmerDiffLiftMask
from .lists import EmerDiffEach, EmerDiffGather
from .load import EmerDiffLoad
from .merge_segments import EmerDiffMergeSegments
from .modulate_and_assemble import EmerDiffModulateAndAssemble
from .modulate_attention import EmerDiffModulateAttention
from .pick_by_points import EmerDiffPickByPoints
from .save import EmerDiffSave
from .segment_image import EmerDiffSegmentImage
from .select_by_text import EmerDiffSelectByText
from .select_segments import EmerDiffSelectSegments
from .to_segs import EmerDiffToSEGS


class EmerDiffExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            EmerDiffSegmentImage,
            EmerDiffSelectSegments,
            EmerDiffSelectByText,
            EmerDiffPickByPoints,
            EmerDiffLiftMask,
            EmerDiffCutOut,
            EmerDiffMergeSegments,
            EmerDiffExtractFeatures,
            EmerDiffClusterFeatures,
            EmerDiffModulateAttention,
            EmerDiffModulateAndAssemble,
            EmerDiffCheck,
            EmerDiffEach,
            EmerDiffGather,
            EmerDiffAssembleMasks,
            EmerDiffBoundingBoxes,
            EmerDiffToSEGS,
            EmerDiffSave,
            EmerDiffLoad,
        ]
