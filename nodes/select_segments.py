"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ..emerdiff_ops.segments.colors import highlight, overlay
from .host.latents import to_output
from .host.progress import say
from .steps.select import for_the_browser, notes_on, nothing_in, picture_under, read_picks, reduced, select_segments
from .wires import SegmentationType


class EmerDiffSelectSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectSegments",
            display_name="EmerDiff Select Segments",
            category="EmerDiff",
            description="Pick segments by clicking in the picture, by number or by points: one mask, for inpainting.",
            search_aliases=["pick mask", "choose segment", "mask by index", "mask by point", "click mask"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input("image", optional=True, tooltip="The segmented picture, to click in."),
                io.String.Input(
                    "selection",
                    default="",
                    tooltip='What clicking writes: segment numbers such as "3, 7-9"; "3; 5" for pictures of a batch.',
                ),
                io.String.Input(
                    "positive_points",
                    default="",
                    tooltip='Segments under these points are added: [{"x": 10, "y": 20}], in pixels.',
                ),
                io.String.Input(
                    "negative_points",
                    default="",
                    tooltip="Segments under these points are taken away, same format.",
                ),
                io.Boolean.Input("invert", default=False, tooltip="Select everything else instead."),
                io.MultiType.Input(
                    "boxes",
                    types=[io.BoundingBox, io.Custom("BBOX")],
                    optional=True,
                    tooltip="Segments that lie mostly in these boxes are added. From detectors and points editors: one "
                    "box, a list, or a list for each picture.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="1 inside the selection, exactly the picture's size."),
                io.Image.Output(display_name="overlay", tooltip="The picture with the selection highlighted."),
            ],
            is_output_node=True,  # so that the picture to click in appears before anything is connected
        )

    @classmethod
    def execute(
        cls, segmentation, selection="", positive_points="", negative_points="", invert=False, image=None, boxes=None
    ) -> io.NodeOutput:
        picture = picture_under(segmentation, image)
        picks = read_picks(segmentation, selection, positive_points, negative_points, invert, boxes)
        notes, small = notes_on(picks), reduced(picture, segmentation.labels)
        say(notes)
        shown = ui.PreviewImage(overlay(*small)).as_dict()
        shown |= {"emerdiff_segments": for_the_browser(segmentation, *small), "text": notes}
        if nothing_in(picks):
            return io.NodeOutput(*2 * [ExecutionBlocker(None)], ui=shown)  # None: silently
        mask = select_segments(segmentation, picks)
        return io.NodeOutput(to_output(mask), to_output(highlight(picture, mask)), ui=shown)
