"""Lists inside EmerDiff Segment Image. The host would spread an inner node's list over the outer node's outputs."""

from comfy_api.latest import io

GATHERED = ("masks", "segmentation", "label_image", "features", "trajectory")


class EmerDiffEach(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffEach",
            display_name="EmerDiff Each",
            category="EmerDiff",
            description="Hands on several values one by one; used inside EmerDiff Segment Image.",
            search_aliases=["EmerDiff Segment Image"],
            inputs=[io.AnyType.Input("values", tooltip="A list as one value.")],
            outputs=[io.AnyType.Output(display_name="value", is_output_list=True, tooltip="Its members, a list.")],
            is_dev_only=True,
        )

    @classmethod
    def execute(cls, values) -> io.NodeOutput:
        return io.NodeOutput(list(values))


class EmerDiffGather(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffGather",
            display_name="EmerDiff Gather",
            category="EmerDiff",
            description="Collects the results for a list of pictures; used inside EmerDiff Segment Image.",
            search_aliases=["EmerDiff Segment Image"],
            inputs=[io.AnyType.Input(name, tooltip="From the steps inside.") for name in GATHERED],
            outputs=[
                io.AnyType.Output(display_name=name, tooltip="All of them, a list as one value.") for name in GATHERED
            ],
            is_input_list=True,
            is_dev_only=True,
        )

    @classmethod
    def execute(cls, masks, segmentation, label_image, features, trajectory) -> io.NodeOutput:
        return io.NodeOutput(masks, segmentation, label_image, features, trajectory)
