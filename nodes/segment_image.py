"""image -> masks in one node: the four steps, connected as one would connect them by hand, the last two in one.

The four big inputs arrive as links and are handed on as links: the host then knows the inner steps again when
something else has changed, and runs only those that depend on it. A list of pictures runs through them one by one.
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
                inputs.make_masks(),
            ],
            outputs=segmentation_outputs(lists=True),
            is_input_list=True,  # the four links hide whether lists come; every result is handed on as one
            enable_expand=True,
        )

    @classmethod
    def execute(cls, model, vae, conditioning, image, segments, preset, seed, make_masks=(True,)) -> io.NodeOutput:
        graph = GraphBuilder()
        shared = {"model": model[0], "vae": vae[0], "conditioning": conditioning[0]}
        seed = each(graph, seed)
        extract = graph.node("EmerDiffExtractFeatures", **shared, image=image[0], seed=seed)
        cluster = graph.node(
            "EmerDiffClusterFeatures", features=extract.out(0), segments=each(graph, segments), seed=seed
        )
        masks = graph.node(
            "EmerDiffModulateAndAssemble",
            **shared,
            image=image[0],
            trajectory=extract.out(1),
            low_res_masks=cluster.out(0),
            preset=each(graph, preset),
            make_masks=each(graph, make_masks),
        )
        gathered = graph.node("EmerDiffGather", masks=masks.out(0), segmentation=masks.out(1), label_image=masks.out(2))
        return io.NodeOutput(gathered.out(0), gathered.out(1), gathered.out(2), expand=graph.finalize())


def each(graph: GraphBuilder, values: list):
    """The one value of an input, or a link to a list of several, which the inner steps then meet one by one."""
    return values[0] if len(values) == 1 else graph.node("EmerDiffEach", values=values).out(0)
