"""What people and other nodes give for a thing: five kinds of rough masks, and five that are rarer."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

UNIT = 128  # pixels of the shorter side that the sizes below are of


def rough_masks(region: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Rough masks of a region [H, W] bool: float32 [H, W] in 0..1. Sizes are those in a picture of 128 pixels."""
    pixel = min(region.shape) / UNIT
    box = np.zeros(region.shape, bool)
    box[ndimage.find_objects(region.astype(int))[0]] = True
    eroded = ndimage.binary_erosion(region, iterations=round(3 * pixel))
    shift = np.round(np.random.default_rng(seed).integers(3, 7, 2) * pixel).astype(int)
    small = torch.nn.functional.interpolate(torch.from_numpy(region)[None, None].float(), (8, 8), mode="area")
    masks = {
        "box around it": box,
        "grown by 6 pixels": ndimage.binary_dilation(region, iterations=round(6 * pixel)),
        "shrunk by 3 pixels": eroded if eroded.any() else ndimage.binary_erosion(region),
        "moved by 3 to 6 pixels each way": np.roll(region, shift, (0, 1)),
        "blob of an 8 x 8 grid": torch.nn.functional.interpolate(small, region.shape, mode="bilinear")[0, 0].numpy(),
    }
    return {kind: mask.astype(np.float32) for kind, mask in masks.items()}


def unusual_masks(labels: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rough masks of what is no single thing, or hardly one, each with the region that it is of.

    Labels [H, W] are a scene's, whose sky is 0 and whose things go from 2 on; float32 [H, W] in 0..1, and bool.
    """
    pixel = min(labels.shape) / UNIT
    largest, second = 2 + np.bincount(labels.ravel())[2:].argsort()[::-1][:2]
    thing, two, sky = labels == largest, np.isin(labels, (largest, second)), labels == 0
    grown, both = (ndimage.binary_dilation(region, iterations=round(4 * pixel)) for region in (thing, two))
    inside, blurred = ndimage.distance_transform_edt(thing), ndimage.gaussian_filter(thing.astype(float), 4 * pixel)
    masks = {
        "all but a thing grown by 4 pixels": (~grown, ~thing),
        "two things grown by 4 pixels": (both, two),
        "a speck of 3 pixels in a thing": (inside >= inside.max() - 1.5 * pixel, thing),
        "a thing blurred by 4 pixels": (blurred / blurred.max(), thing),
        "the sky shrunk by 6 pixels": (ndimage.binary_erosion(sky, iterations=round(6 * pixel)), sky),
    }
    return {kind: (rough.astype(np.float32), region) for kind, (rough, region) in masks.items()}
