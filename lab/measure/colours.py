"""k-means on the colours of a picture: segments that need no model, to compare with."""

import numpy as np
import torch
from emerdiff.emerdiff_ops.kmeans import kmeans

PIXELS = 10_000  # that the clusters are found on


def colour_labels(image: np.ndarray, segments: int) -> np.ndarray:
    """Labels [H, W] of a picture [H, W, 3]; fewer segments where it has fewer colours."""
    pixels = torch.from_numpy(image).flatten(0, 1)  # [H*W, 3]
    generator = torch.Generator().manual_seed(0)
    some = pixels[torch.randperm(len(pixels), generator=generator)[:PIXELS]]
    centres = kmeans(some, min(segments, len(some.unique(dim=0))), generator, restarts=3).centroids
    return torch.cdist(pixels, centres).argmin(1).unflatten(0, image.shape[:2]).numpy()
