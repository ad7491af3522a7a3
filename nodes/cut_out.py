"""image and mask -> the thing alone, on a transparent background."""

from comfy_api.latest import io

from . import inputs
from .results import cut_out_result
from .steps.cut_out import cut_out


class EmerDiffCutOut(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffCutOut",
            display_name="EmerDiff Cut Out",
            category="EmerDiff",
            description="Cut out the thing under a mask, on a transparent background, with an edge of a pixel or two: "
            "for stickers, collages and composites.",
            search_aliases=["remove background", "cut out", "rembg", "alpha", "transparent", "sticker", "feather"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or a batch of pictures."),
                io.Mask.Input(
                    "mask",
                    tooltip="What to keep. One mask serves all pictures. Otherwise every picture has the same number "
                    "of masks, picture after picture. A soft mask is made hard at one half first, so that nothing "
                    "shines through.",
                ),
                inputs.grow(),
                inputs.feather(1.5),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The picture with an alpha channel: [N, H, W, 4]."),
                io.Mask.Output(display_name="mask", tooltip="The mask with its new edge."),
            ],
            is_output_node=True,  # it shows what it cut out
        )

    @classmethod
    def execute(cls, image, mask, grow=0, feather=1.5) -> io.NodeOutput:
        return cut_out_result(*cut_out(image, mask, grow, feather))
