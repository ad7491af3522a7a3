"""difference maps -> masks: each pixel goes to the segment with the strongest response."""

from comfy_api.latest import io

from . import inputs
from .results import segmentation_outputs, segmentation_result
from .steps.assemble import assemble_masks
from .wires import DifferenceMapsType


class EmerDiffAssembleMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffAssembleMasks",
            display_name="EmerDiff Assemble Masks",
            category="EmerDiff",
            description="Give every pixel to the segment it responds to most. Instant. Last of the four steps.",
            search_aliases=["argmax", "segmentation masks", "label map"],
            inputs=[
                DifferenceMapsType.Input("difference_maps", tooltip="From EmerDiff Modulate Attention."),
                inputs.smoothing(),
                inputs.share_of_picture(
                    "min_area", 0.0, "Connected parts smaller than this fraction of the picture go to their neighbours."
                ),
                io.Boolean.Input(
                    "normalize",
                    default=False,
                    advanced=True,
                    tooltip="Divide each map by its maximum first. Helps when the strength does not suit the model.",
                ),
                inputs.share_of_picture(
                    "fill_holes",
                    0.0,
                    "A hole in a segment goes to that segment, if smaller than this fraction of the picture.",
                    optional=True,
                    advanced=True,
                ),
                io.Boolean.Input(
                    "split_parts",
                    default=False,
                    optional=True,
                    tooltip="Every connected part becomes a segment of its own: two cats that share a segment come "
                    "apart. Two that touch come apart at a narrow place between them. Set min_area too, or specks "
                    "become segments.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The segmented picture. Where it is larger than the working size, the masks follow its "
                    "borders to the pixel.",
                ),
                io.Boolean.Input(
                    "refine",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Follow the borders of the connected image. Off: masks are enlarged bilinearly.",
                ),
                inputs.make_masks(),
            ],
            outputs=segmentation_outputs(),
        )

    @classmethod
    def execute(
        cls,
        difference_maps,
        smoothing=1.0,
        min_area=0.0,
        normalize=False,
        fill_holes=0.0,
        split_parts=False,
        image=None,
        refine=True,
        make_masks=True,
    ) -> io.NodeOutput:
        guide = image if refine else None
        tidy = min_area, normalize, fill_holes, split_parts
        return segmentation_result(assemble_masks(difference_maps, smoothing, *tidy, guide), make_masks)
