"""Pictures of the nodes' help pages, nodes/web/docs/images/NODE.jpg, made by the nodes on one scene.

Those of photographs are drawn by thumbnails, of what the demo left.

python3 lab/run.py help_pictures
"""

from pathlib import Path

import numpy as np
import torch
from emerdiff.emerdiff_ops.segments.boxes import box_around, crop_region
from emerdiff.emerdiff_ops.segments.colors import colorize, highlight, overlay
from emerdiff.emerdiff_ops.segments.labels import masks_to_labels
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import ROBUST
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.pick import pick_by_points
from emerdiff.nodes.steps.score_text import Reader, score_segments
from emerdiff.nodes.steps.values import LowResMasks
from emerdiff.nodes.steps.word_masks import masks_of_the_best, picture_with_scores
from PIL import Image, ImageDraw

from measure.metrics import interior
from measure.pipeline import Pipeline
from measure.things import written
from measure.timing import PRECISIONS, fastest_precision
from show.sheet import Panel, enlarged, strip, to_image
from small_model.model import load_clip
from small_model.scenes import HELD_OUT, scene
from small_model.settings import SEGMENTS

SEED = HELD_OUT + 2
FOLDER = Path(__file__).resolve().parents[2] / "nodes" / "web" / "docs" / "images"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with torch.inference_mode():
        for node, panels in strips(Pipeline(PRECISIONS[fastest_precision()])).items():
            strip(panels).save(FOLDER / f"EmerDiff{node}.jpg", quality=88)


def strips(pipeline: Pipeline) -> dict[str, list[Panel]]:
    """What goes in and what comes out, by node."""
    true = scene(SEED)
    image = torch.from_numpy(true.image)[None]
    features, trajectory = pipeline.features(true.image, SEED, reading=ROBUST)
    low_res = cluster_features(features, SEGMENTS)
    maps = pipeline.maps(true.image, trajectory, low_res, "balanced")
    segmentation = assemble_masks(maps, normalize=True)
    labels = segmentation.labels
    region = true.labels == 2
    chosen = int(np.bincount(labels[0].numpy()[region]).argmax())
    mask = (labels == chosen).float()
    known = pipeline.known(true.image, SEED)
    place = interior(true.labels == 3)  # a thing that stands alone
    pointed = pick_by_points(features, trajectory, image, written([place]), "")
    exact = pipeline.lift(true.image, pointed, "fast", known)
    by_itself = cluster_features(features, 0)
    model, vae, _ = pipeline.source
    scores = score_segments(Reader(model, load_clip(), vae), segmentation, image, true.words[2])
    found = masks_of_the_best(segmentation, scores, true.words[2])
    by_text = drawn(picture_with_scores(segmentation, image, found, scores))
    picture, numbered = Panel("picture", drawn(image)), Panel("segmentation", drawn(overlay(image, labels)))
    coarse = of_masks("low_res_masks", low_res)
    label_image = Panel("label_image", drawn(colorize(labels)))
    merged = merge_alike(segmentation, features, 6, 0.0).labels
    return {
        "ExtractFeatures": [picture, Panel("features (three main directions)", principal(features.features[0]))],
        "ClusterFeatures": [
            Panel("features", principal(features.features[0])),
            coarse,
            of_masks("with segments 0", by_itself),
        ],
        "ModulateAttention": [coarse, *answers(maps.difference[0], low_res.masks[0], chosen)],
        "AssembleMasks": [Panel("one of the maps", grey(maps.difference[0, chosen])), label_image, numbered],
        "SelectByText": [numbered, Panel(f'overlay of "{true.words[2]}"', by_text)],
        "PickByPoints": [
            Panel("a positive point", boxed(image, [around(place)])),
            Panel("mask", drawn(highlight(image, (pointed > 0.5).float()))),
            Panel("the same, lifted", drawn(highlight(image, (exact > 0.5).float()))),
        ],
        "MergeSegments": [numbered, Panel("merged to 6", drawn(overlay(image, merged)))],
        "BoundingBoxes": [Panel("mask", grey(mask[0])), Panel("its box", boxed(image, regions(mask[0])[:1]))],
        "ToSEGS": [numbered, Panel("bbox and crop_region", boxed(image, regions(mask[0])))],
    }  # fmt: skip


def of_masks(caption: str, low_res: LowResMasks) -> Panel:
    return Panel(caption, drawn(colorize(masks_to_labels(low_res.masks))))


def around(place: tuple[int, int]) -> tuple[int, int, int, int]:
    """A small box about a pixel (row, column)."""
    row, column = place
    return column - 1, row - 1, column + 2, row + 2


def answers(maps: torch.Tensor, masks: torch.Tensor, chosen: int) -> list[Panel]:
    return [Panel(f"mask {chosen}", grey(masks[chosen])), Panel(f"difference map {chosen}", grey(maps[chosen]))]


def regions(mask: torch.Tensor) -> list[tuple[int, int, int, int]]:
    box = box_around(mask)
    assert box is not None  # the mask is of a segment that covers something
    return [box, crop_region(box, 3.0, mask.shape[1], mask.shape[0])]


def principal(features: torch.Tensor) -> Image.Image:
    """Features [h, w, C] as a picture: the three directions they spread in most, as red, green and blue."""
    flat = features.flatten(0, 1) - features.mean((0, 1))
    directions = torch.linalg.svd(flat, full_matrices=False)[2][:3]
    spread = flat @ directions.T
    unit = (spread - spread.amin(0)) / (spread.amax(0) - spread.amin(0))
    return enlarged(to_image(unit.unflatten(0, features.shape[:2]).numpy()))


def grey(values: torch.Tensor) -> Image.Image:
    """A map [H, W], its maximum white."""
    return enlarged(to_image((values / values.amax())[..., None].expand(-1, -1, 3).numpy()))


def drawn(pictures: torch.Tensor) -> Image.Image:
    return enlarged(to_image(pictures[0].numpy()))


def boxed(image: torch.Tensor, boxes: list[tuple[int, int, int, int]]) -> Image.Image:
    picture = drawn(image)
    scale = picture.width / image.shape[2]
    for box, colour in zip(boxes, ("white", "yellow")):
        ImageDraw.Draw(picture).rectangle([scale * side for side in box], outline=colour, width=3)
    return picture
