"""masks -> the mask you want: by clicking in the picture, by segment numbers and by points."""

from comfy_api.latest import io

from . import inputs
from .host.folders import mark_of_folder, mark_of_input
from .host.progress import show_notes
from .results import selected_result
from .steps.picks import Together, files_of, read_picks, requests
from .steps.select import notes_on, selected
from .wires import SegmentationType


class EmerDiffSelectSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffSelectSegments",
            display_name="EmerDiff Select Segments",
            category="EmerDiff",
            description="Pick segments by clicking in the picture, by number or by points: one mask, for inpainting.",
            search_aliases=["select object", "pick mask", "click mask", "mask by index", "mask by point"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                io.Image.Input("image", optional=True, tooltip="The segmented picture, to click in."),
                io.String.Input(
                    "selection",
                    default="",
                    advanced=True,  # clicks write it
                    tooltip='What clicks write: segment numbers such as "3, 7-9", connected parts such as "3:120:45". '
                    '"3; 5" is one list a picture.',
                ),
                inputs.points_on_segments(
                    "positive_points",
                    "Segments under these points are added: a JSON list of points with x and y in pixels, or a list of "
                    "such lists, one a picture. Shift and click writes them.",
                ),
                inputs.points_on_segments(
                    "negative_points",
                    "Segments under these points are taken away, same format. Alt and click writes them.",
                ),
                io.Boolean.Input("invert", default=False, tooltip="Select everything else instead."),
                inputs.boxes_on_segments(),
                inputs.every_picture(),
                *inputs.edge(),
                inputs.correction(),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="mask",
                    is_output_list=True,
                    tooltip="1 inside the selection, exactly the picture's size.",
                ),
                io.Image.Output(
                    display_name="overlay", is_output_list=True, tooltip="The picture with the selection highlighted."
                ),
            ],
            is_input_list=True,  # one text is for all pictures, whether they come as a batch or as a list
            is_output_node=True,  # so that the picture to click in appears before anything is connected
        )

    @classmethod
    def fingerprint_inputs(cls, correction=(), **inputs) -> str:
        """Makes the node rerun where pictures that the cached result names are gone, or a correction was rewritten."""
        return mark_of_folder() + mark_of_input(files_of(filter(None, correction)))

    @classmethod
    def execute(
        cls,
        segmentation,
        selection=("",),
        positive_points=("",),
        negative_points=("",),
        invert=(False,),
        image=(None,),
        boxes=(None,),
        every_picture=(False,),
        grow=(0,),
        feather=(0.0,),
        fill_holes=(False,),
        correction=("",),
    ) -> io.NodeOutput:
        texts = selection, positive_points, negative_points
        edge = grow, feather, fill_holes
        asked = requests(segmentation, image, *texts, invert, boxes, every_picture, *edge, correction)
        picks = read_picks(asked, Together(*(len(each) == 1 for each in (*texts, boxes, correction))))
        results = selected(asked, picks)
        notes = notes_on(asked, picks, results)
        show_notes(notes)
        return selected_result(results, notes)
