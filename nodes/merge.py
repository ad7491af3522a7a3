"""segmentation -> fewer segments: neighbours that are alike are joined. From cached features, no UNet evaluation."""

import torch
from comfy_api.latest import io

from ..emerdiff_ops.colors import colorize
from ..emerdiff_ops.labels import labels_to_masks
from ..emerdiff_ops.merging import mask_embeddings, merge_segments
from . import host
from .assemble import numbered, outputs
from .types import FeaturesType, Segmentation, SegmentationType


def merged(segmentation, features, target=8, similarity=0.0) -> Segmentation:
    """Neighbours joined by the cosine of their mask embeddings, each picture by itself, numbers from 0 on."""
    if len(features.features) != len(segmentation.labels):
        raise ValueError(
            f"features of {len(features.features)} pictures, but a segmentation of {len(segmentation.labels)}; "
            "connect the features that the segmentation was made from"
        )
    if target == 0 and similarity == 0:
        raise ValueError("nothing says where to stop: give a target, a similarity, or both")
    labels = []
    for values, map_ in zip(segmentation.labels, features.features):
        host.throw_if_cancelled()
        embeddings = mask_embeddings(map_, values, segmentation.count)
        labels.append(merge_segments(values, embeddings, max(1, target), similarity or -1.0))
    return Segmentation(torch.stack(labels), int(max(each.max() for each in labels)) + 1)


class EmerDiffMergeSegments(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffMergeSegments",
            display_name="EmerDiff Merge Segments",
            category="EmerDiff",
            description="Fewer, larger segments: neighbours that mean the same to the model are joined. Instant, so "
            "granularity is a slider.",
            search_aliases=["granularity", "fewer segments", "join masks", "merge masks", "hierarchical segmentation"],
            inputs=[
                SegmentationType.Input("segmentation", tooltip="From EmerDiff Segment Image or Assemble Masks."),
                FeaturesType.Input(
                    "features", tooltip="Of the same pictures, from EmerDiff Extract Features with the same seed."
                ),
                io.Int.Input(
                    "target",
                    default=8,
                    min=0,
                    max=256,
                    tooltip="How many segments to leave in each picture; 0 = as many as similarity allows.",
                ),
                io.Float.Input(
                    "similarity",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Neighbours less alike than this (cosine of their features) stay apart; 0 = no such limit. "
                    "With both, the first that is reached ends it.",
                ),
            ],
            outputs=[outputs()[1], outputs()[0], outputs()[2]],
        )

    @classmethod
    def execute(cls, segmentation, features, target, similarity) -> io.NodeOutput:
        fewer = merged(segmentation, features, target, similarity)
        masks = host.to_output(labels_to_masks(fewer.labels, fewer.count))
        return io.NodeOutput(fewer, masks, host.to_output(colorize(fewer.labels)), ui=numbered(fewer))
