"""features -> low-resolution masks: k-means on the UNet's grid."""

from comfy_api.latest import io, ui

from ..emerdiff_ops.colors import colorize
from ..emerdiff_ops.kmeans import cluster_masks
from ..emerdiff_ops.labels import masks_to_labels
from . import host, inputs
from .types import FeaturesType, LowResMasks, LowResMasksType


def cluster_features(features, segments=20, seed=0, shared_clusters=False, restarts=10) -> LowResMasks:
    """K binary masks per image on the feature grid (paper, sec. 3)."""
    masks = cluster_masks(
        features.features, segments, seed, restarts, shared=shared_clusters, check=host.throw_if_cancelled
    )
    return LowResMasks(masks, features.latent_size)


def preview(low_res_masks):
    """The coarse label map in colour, eight pixels a cell."""
    image = colorize(masks_to_labels(low_res_masks.masks))
    return ui.PreviewImage(image.repeat_interleave(8, 1).repeat_interleave(8, 2))


class EmerDiffClusterFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffClusterFeatures",
            display_name="EmerDiff Cluster Features",
            category="EmerDiff",
            description="Group the features into coarse masks by k-means. Instant: no UNet evaluation. Second of the "
            "four steps.",
            search_aliases=["k-means", "kmeans", "segmentation", "number of segments"],
            inputs=[
                FeaturesType.Input("features", tooltip="From EmerDiff Extract Features."),
                inputs.segments(),
                inputs.seed("Seed of the clustering."),
                io.Boolean.Input(
                    "shared_clusters",
                    default=False,
                    tooltip="Cluster all pictures of the batch together, so that a segment number means the same "
                    "thing in every picture.",
                ),
                io.Int.Input(
                    "restarts",
                    default=10,
                    min=1,
                    max=100,
                    advanced=True,
                    tooltip="Clusterings tried; the tightest is kept.",
                ),
            ],
            outputs=[LowResMasksType.Output(display_name="low_res_masks", tooltip="Coarse masks on the UNet's grid.")],
        )

    @classmethod
    def execute(cls, features, segments, seed, shared_clusters=False, restarts=10) -> io.NodeOutput:
        masks = cluster_features(features, segments, seed, shared_clusters, restarts)
        return io.NodeOutput(masks, ui=preview(masks))
