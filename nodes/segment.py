"""image -> masks in one node: the four steps, connected as one would connect them by hand, the last two in one.

The four big inputs arrive as links and are handed on as links: the host then knows the inner steps again when
something else has changed, and runs only those that depend on it. Nobody asks for all the difference maps here, so
each goes into the label map as it comes: however many segments and pictures there are, one is held at a time.
"""

import torch
from comfy_api.latest import io

from . import host, inputs
from .assemble import enlargers, finished, label_picture, outputs
from .host import GraphBuilder
from .modulate import maps_as_they_come
from .types import Segmentation


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
            ],
            outputs=outputs(),
            enable_expand=True,
        )

    @classmethod
    def execute(cls, model, vae, conditioning, image, segments, preset, seed) -> io.NodeOutput:
        graph = GraphBuilder()
        shared = {"model": model, "vae": vae, "conditioning": conditioning}
        extract = graph.node("EmerDiffExtractFeatures", **shared, image=image, seed=seed)
        cluster = graph.node("EmerDiffClusterFeatures", features=extract.out(0), segments=segments, seed=seed)
        masks = graph.node(
            "EmerDiffModulateAndAssemble",
            **shared,
            image=image,
            trajectory=extract.out(1),
            low_res_masks=cluster.out(0),
            preset=preset,
        )
        return io.NodeOutput(masks.out(0), masks.out(1), masks.out(2), expand=graph.finalize())


def segment_picture(model, vae, conditioning, image, trajectory, low_res_masks, preset, node=None) -> Segmentation:
    """EmerDiff Modulate Attention and Assemble Masks, at their defaults, in one go."""
    sizes = (len(trajectory.latent), *trajectory.image_size), trajectory.working_size
    pictures = maps_as_they_come(model, vae, conditioning, trajectory, low_res_masks, preset, node=node)
    labels = [
        label_picture(maps, trajectory.image_size, follow=follow)
        for maps, follow in zip(pictures, enlargers(image, *sizes), strict=True)
    ]
    return Segmentation(torch.stack(labels), low_res_masks.masks.shape[1])


class EmerDiffModulateAndAssemble(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffModulateAndAssemble",
            display_name="EmerDiff Modulate and Assemble",
            category="EmerDiff",
            description="What EmerDiff Segment Image does after clustering; use EmerDiff Modulate Attention and "
            "EmerDiff Assemble Masks, which have more settings.",
            search_aliases=["EmerDiff Segment Image"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.image(),
                inputs.trajectory(),
                inputs.low_res_masks(),
                inputs.preset(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_dev_only=True,
        )

    @classmethod
    def execute(cls, model, vae, conditioning, image, trajectory, low_res_masks, preset) -> io.NodeOutput:
        node = host.shown_node(cls.hidden)
        return finished(segment_picture(model, vae, conditioning, image, trajectory, low_res_masks, preset, node))
