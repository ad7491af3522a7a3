"""features -> low-resolution masks: k-means on the model's grid, or normalized cuts."""

from comfy_api.latest import io

from . import inputs
from .results import coarse_preview
from .steps.cluster import GRANULARITY, cluster_features
from .wires import FeaturesType, LowResMasksType


class EmerDiffClusterFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffClusterFeatures",
            display_name="EmerDiff Cluster Features",
            category="EmerDiff",
            description="Group the features into coarse masks, as many as you say or as the picture has. Instant: the "
            "model does not run. Second of the four steps.",
            search_aliases=["k-means", "kmeans", "normalized cut", "segmentation", "number of segments"],
            inputs=[
                FeaturesType.Input("features", tooltip="From EmerDiff Extract Features."),
                inputs.segments(),
                inputs.seed("Seed of the clustering."),
                inputs.shared_clusters(),
                io.Int.Input(
                    "restarts",
                    default=10,
                    min=1,
                    max=100,
                    advanced=True,
                    tooltip="Clusterings tried. The tightest is kept.",
                ),
                inputs.granularity(),
                inputs.reference(),
            ],
            outputs=[LowResMasksType.Output(display_name="low_res_masks", tooltip="Coarse masks on the model's grid.")],
        )

    @classmethod
    def execute(
        cls,
        features,
        segments,
        seed,
        shared_clusters=False,
        restarts=10,
        granularity=GRANULARITY,
        reference=None,
    ) -> io.NodeOutput:
        masks = cluster_features(features, segments, seed, shared_clusters, restarts, granularity, reference)
        return io.NodeOutput(masks, ui=coarse_preview(masks))
