"""image -> masks in one node: the four steps, connected as one would connect them by hand, the last two in one.

The four big inputs arrive as links and are handed on as links: the host then knows the inner steps again when
something else has changed, and runs only those that depend on it.
"""

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from . import inputs
from .results import segmentation_outputs


class EmerDiffSegmentImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSegmentImage",
            display_name="EmerDiff Segment Image",
            category="EmerDiff",
            description="Divide a picture into pixel-accurate segments with the diffusion model already loaded: no "
            "training, no second model.",
            search_aliases=["segment anything", "SAM", "auto mask", "panoptic", "segmentation", "mask generator"],
            inputs=[
                inputs.model(raw_link=True),
                inputs.vae(raw_link=True),
                inputs.conditioning(raw_link=True),
                inputs.image(raw_link=True),
                inputs.segments(),
                inputs.preset(),
                inputs.seed("Seed of the noise and of the clustering."),
            ],
            outputs=segmentation_outputs(),
            enable_expand=True,
        )

    @classmethod
    def execute(cls, model, vae, conditioning, image, segments, preset, seed) -> io.NodeOutput:
        graph = GraphBuilder()
        shared = {"model": model, "vae": vae, "conditioning": conditioning}
        extract = graph.node("EmerDiffExtractFeatures", **shared, image=image, seed=seed)
        cluster = graph.node("EmerDiffClusterFeatures", features=extract.out(0), segments=segments, seed=seed)
        masks = graph.node(
            "EmerDiffModulateAndAssemble",
            **shared,
            image=image,
            trajectory=extract.out(1),
            low_res_masks=cluster.out(0),
            preset=preset,
        )
        return io.NodeOutput(masks.out(0), masks.out(1), masks.out(2), expand=graph.finalize())
