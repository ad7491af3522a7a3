"""The EmerDiff nodes: image -> extract -> cluster -> modulate -> assemble -> select."""

from comfy_api.latest import ComfyExtension, io

from .assemble import EmerDiffAssembleMasks
from .boxes import EmerDiffBoundingBoxes
from .cluster import EmerDiffClusterFeatures
from .extract import EmerDiffExtractFeatures
from .files import EmerDiffLoad, EmerDiffSave
from .lift import EmerDiffLiftMask
from .merge import EmerDiffMergeSegments
from .modulate import EmerDiffModulateAttention
from .segment import EmerDiffModulateAndAssemble, EmerDiffSegmentImage
from .segs import EmerDiffToSEGS
from .select import EmerDiffSelectSegments
from .text import EmerDiffSelectByText


class EmerDiffExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            EmerDiffSegmentImage,
            EmerDiffSelectSegments,
            EmerDiffSelectByText,
            EmerDiffLiftMask,
            EmerDiffMergeSegments,
            EmerDiffExtractFeatures,
            EmerDiffClusterFeatures,
            EmerDiffModulateAttention,
            EmerDiffModulateAndAssemble,
            EmerDiffAssembleMasks,
            EmerDiffBoundingBoxes,
            EmerDiffToSEGS,
            EmerDiffSave,
            EmerDiffLoad,
        ]
