"""Lists inside EmerDiff Segment Image: the host spreads what an expanded node gives over its outputs, not its lists."""

from comfy_api.latest import io


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
            inputs=[
                io.AnyType.Input("masks", tooltip="From EmerDiff Modulate and Assemble."),
                io.AnyType.Input("segmentation", tooltip="From the same node."),
                io.AnyType.Input("label_image", tooltip="From the same node."),
            ],
            outputs=[
                io.AnyType.Output(display_name="masks", tooltip="All of them, a list as one value."),
                io.AnyType.Output(display_name="segmentation", tooltip="All of them, a list as one value."),
                io.AnyType.Output(display_name="label_image", tooltip="All of them, a list as one value."),
            ],
            is_input_list=True,
            is_dev_only=True,
        )

    @classmethod
    def execute(cls, masks, segmentation, label_image) -> io.NodeOutput:
        return io.NodeOutput(masks, segmentation, label_image)
