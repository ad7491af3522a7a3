"""What people and other nodes give for a thing: five kinds of rough masks."""

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
