"""The EmerDiff nodes: image -> extract -> cluster -> modulate -> assemble -> select."""

from comfy_api.latest import ComfyExtension, io

from .assemble_masks import EmerDiffAssembleMasks
from .bounding_boxes import EmerDiffBoundingBoxes
from .cluster_features import EmerDiffClusterFeatures
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
            EmerDiffMergeSegments,
            EmerDiffExtractFeatures,
            EmerDiffClusterFeatures,
            EmerDiffModulateAttention,
            EmerDiffModulateAndAssemble,
            EmerDiffEach,
            EmerDiffGather,
            EmerDiffAssembleMasks,
            EmerDiffBoundingBoxes,
            EmerDiffToSEGS,
            EmerDiffSave,
            EmerDiffLoad,
        ]
