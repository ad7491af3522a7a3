"""coarse mask -> pixel-accurate mask: modulated denoising of any MASK against its complement."""

import torch
from comfy_api.latest import io, ui

from ..emerdiff_ops.colors import highlight
from ..emerdiff_ops.difference import gaussian_smooth
from ..emerdiff_ops.guided import enlarged
from ..emerdiff_ops.lifting import against_complement, coarse_weights, contest, masks_per_picture
from . import host, inputs
from .extract import invert
from .modulate import modulate_attention
from .types import LowResMasks


def lift_mask(
    model,
    vae,
    conditioning,
    image,
    mask,
    preset="balanced",
    seed=0,
    smoothing=1.0,
    strength=inputs.PAPER_STRENGTH,
    resolution=0,
    node=None,
) -> torch.Tensor:
    """How far every pixel sides with each mask, 0..1: [B * N, H, W] for N masks a picture, at the pictures' size."""
    layer = host.find_layer(model, "auto", last=True)
    masks = masks_per_picture(host.check_mask(mask), len(image))  # [B, N, any, any]
    trajectory = invert(model, vae, image, seed, resolution)
    height, width = trajectory.latent.shape[-2:]
    latent_size, cell = (height, width), host.pixels_per_cell(vae)
    grid = host.grid_of(model, layer, latent_size)
    padded = cell * height, cell * width
    weights = [coarse_weights(each, trajectory.working_size, padded, grid) for each in masks]
    pairs = LowResMasks(torch.stack([against_complement(each) for each in weights]), latent_size)
    maps = modulate_attention(model, vae, conditioning, trajectory, pairs, preset, strength=strength, node=node)
    pictures = zip(maps.difference, host.check_image(image).cpu())
    soft = [enlarged(contest(gaussian_smooth(each, smoothing)), picture) for each, picture in pictures]
    return torch.cat(soft).clamp(0, 1)


class EmerDiffLiftMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffLiftMask",
            display_name="EmerDiff Lift Mask",
            category="EmerDiff",
            description="Make a rough mask precise: a brush stroke, a box or a heat map becomes the thing it lies on, "
            "pixel by pixel, by the diffusion model already loaded.",
            search_aliases=["refine mask", "mask refiner", "precise mask", "mask to object", "box to mask", "SAM"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                io.Mask.Input(
                    "mask",
                    tooltip="Any rough mask of the thing, of any size: from the mask editor, a box, CLIPSeg. Several "
                    "are lifted in one go: one for all pictures, or the same number for each, picture after picture.",
                ),
                inputs.preset(),
                inputs.seed("Seed of the noise. The result depends on it a little."),
                inputs.smoothing(),
                inputs.strength(),
                inputs.resolution(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="0 or 1, exactly the picture's size."),
                io.Mask.Output(display_name="soft_mask", tooltip="0 to 1: how far each pixel sides with the mask."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        conditioning,
        image,
        mask,
        preset,
        seed,
        smoothing=1.0,
        strength=inputs.PAPER_STRENGTH,
        resolution=0,
    ) -> io.NodeOutput:
        node = host.shown_node(cls.hidden)
        soft = lift_mask(
            model, vae, conditioning, image, mask, preset, seed, smoothing, strength, resolution, node=node
        )
        hard = (soft > 0.5).float()
        pictures = image.cpu().repeat_interleave(len(hard) // len(image), 0)
        return io.NodeOutput(host.to_output(hard), host.to_output(soft), ui=ui.PreviewImage(highlight(pictures, hard)))
