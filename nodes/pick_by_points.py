"""points and boxes -> rough mask of everything like the thing pointed at, without segments."""

from comfy_api.latest import io

from . import inputs
from .results import levels_result
from .steps.pick import pick_levels
from .wires import FeaturesType

MOST_STEPS = 64  # from one level to another


class EmerDiffPickByPoints(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffPickByPoints",
            display_name="EmerDiff Pick by Points",
            category="EmerDiff",
            description="Point at a thing, or put a box around it: a rough mask of it, at once and without segments. "
            "EmerDiff Lift Mask makes it exact.",
            search_aliases=["SAM", "select object", "points to mask", "box to mask", "click mask"],
            inputs=[
                FeaturesType.Input("features", tooltip="From EmerDiff Extract Features."),
                inputs.trajectory(beside="features"),
                io.Image.Input("image", tooltip="The pictures that the features were extracted from."),
                io.String.Input(
                    "positive_points",
                    default="",
                    tooltip="On what you want: a JSON list of points with x and y in pixels, for every picture, or a "
                    "list of such lists, one a picture.",
                ),
                io.String.Input(
                    "negative_points",
                    default="",
                    tooltip="On what you do not want, same format. Alone: everything except what is like that.",
                ),
                io.MultiType.Input(
                    io.String.Input("boxes", default="", advanced=True),  # drags write it
                    types=[io.BoundingBox, io.Custom("BBOX")],
                    optional=True,
                    advanced=True,
                    tooltip="Around what you want: one box, a list, or a list for each picture. Dragging writes them.",
                ),
                io.Int.Input(
                    "level",
                    default=0,
                    min=-MOST_STEPS,
                    max=MOST_STEPS,
                    optional=True,
                    tooltip="How large a thing you mean. 0 = as first shown; 1, 2, ... larger; -1, -2, ... smaller. "
                    "The model does not run. There are more levels with attention turned on in EmerDiff Extract "
                    "Features.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="0 or 1, one for each picture, exactly its size."),
                io.Mask.Output(display_name="soft_mask", tooltip="0 to 1: how well each pixel matches what you want."),
                io.Mask.Output(
                    display_name="levels",
                    tooltip="At which level each pixel joins. Of n levels 1 at the smallest, 1/n at the largest, 0 "
                    "where it never does. Any threshold gives a mask.",
                ),
            ],
            is_output_node=True,  # it shows what was picked
        )

    @classmethod
    def execute(
        cls, features, trajectory, image, positive_points="", negative_points="", boxes=None, level=0
    ) -> io.NodeOutput:
        picked = pick_levels(features, trajectory, image, (positive_points, negative_points, boxes), level)
        return levels_result(image, picked)
