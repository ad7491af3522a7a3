"""The EmerDiff nodes: image -> extract -> cluster -> modulate -> assemble -> select."""

from comfy_api.latest import ComfyExtension, io

from .assemble import EmerDiffAssembleMasks
from .cluster import EmerDiffClusterFeatures
from .extract import EmerDiffExtractFeatures
from .files import EmerDiffLoad, EmerDiffSave
from .modulate import EmerDiffModulateAttention
from .segment import EmerDiffSegmentImage
from .select import EmerDiffSelectSegments


class EmerDiffExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            EmerDiffSegmentImage,
            EmerDiffSelectSegments,
            EmerDiffExtractFeatures,
            EmerDiffClusterFeatures,
            EmerDiffModulateAttention,
            EmerDiffAssembleMasks,
            EmerDiffSave,
            EmerDiffLoad,
        ]
