"""image -> masks in one node: the four steps, connected as one would connect them by hand, the last two in one.

The four big inputs arrive as links and are passed on as links. So the host recognizes the inner steps when another
input changes, and reruns only those that depend on it. The pictures of a list run through them one by one.
"""

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from . import inputs
from .lists import GATHERED
from .results import segmentation_outputs
from .steps.extract import reading_of
from .steps.presets import check_preset
from .wires import FeaturesType, TrajectoryType

FINISH = ("make_masks", "specks")
WAYS = ("surroundings", "mirrored", "dense", "enlarge")


class EmerDiffSegmentImage(inputs.PresetNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSegmentImage",
            display_name="EmerDiff Segment Image",
            category="EmerDiff",
            description="Divide a picture into pixel-accurate segments with the diffusion model already loaded: no "
            "training, no second model.",
            search_aliases=["segment anything", "SAM", "mask", "auto mask", "outline", "select object"],
            inputs=[
                inputs.model(raw_link=True),
                inputs.vae(raw_link=True),
                inputs.conditioning(raw_link=True),
                inputs.image(raw_link=True),
                inputs.segments(),
                inputs.preset(),
                inputs.seed("Seed of the noise and of the clustering."),
                inputs.make_masks(),
                inputs.granularity(),
                inputs.shared_clusters(optional=True, advanced=True),
                inputs.reference(raw_link=True),
                inputs.specks(),
            ],
            outputs=[
                *segmentation_outputs(lists=True),
                FeaturesType.Output(
                    display_name="features",
                    is_output_list=True,
                    tooltip="For EmerDiff Lift Mask, Pick by Points and Merge Segments, which then read nothing again.",
                ),
                TrajectoryType.Output(
                    display_name="trajectory", is_output_list=True, tooltip="Goes with the features."
                ),
            ],
            is_output_node=True,
            is_input_list=True,  # the four links hide whether lists come; every result is passed on as a list
            enable_expand=True,
        )

    @classmethod
    def execute(cls, model, vae, conditioning, image, preset, seed, reference=(None,), **how) -> io.NodeOutput:
        for name in preset:
            check_preset(name)
        graph = GraphBuilder()
        shared = {"model": model[0], "vae": vae[0], "conditioning": conditioning[0]}
        graph.node("EmerDiffCheck", model=model[0], presets=preset)
        seed, readings = each(graph, seed), [reading_of(name) for name in preset]
        ways = {name: each(graph, [getattr(one, name) for one in readings]) for name in WAYS}
        extract = graph.node("EmerDiffExtractFeatures", **shared, image=image[0], seed=seed, **ways)
        how = {name: each(graph, values) for name, values in how.items()}
        finish = {name: how.pop(name) for name in FINISH if name in how}  # the rest is for clustering
        how |= {"reference": reference[0]} if reference[0] is not None else {}
        cluster = graph.node("EmerDiffClusterFeatures", features=extract.out(0), seed=seed, **how)
        masks = graph.node(
            "EmerDiffModulateAndAssemble",
            **shared,
            image=image[0],
            **{"trajectory": extract.out(1), "low_res_masks": cluster.out(0), "preset": each(graph, preset), **finish},
        )
        made = [*map(masks.out, range(3)), *map(extract.out, range(2))]
        gathered = graph.node("EmerDiffGather", **dict(zip(GATHERED, made, strict=True)))
        return io.NodeOutput(*map(gathered.out, range(len(made))), expand=graph.finalize())


def each(graph: GraphBuilder, values: list):
    """The only value of an input, or a link to a list of several, which the inner steps take one by one."""
    return values[0] if len(values) == 1 else graph.node("EmerDiffEach", values=values).out(0)
