"""DiffCut from its equations, to compare with (Couairon et al. 2024): recursive normalized cuts of one layer's output.

Published for a 32 x 32 grid, of a picture seen at 1024 pixels. One published oddity is left out: there the pair of
places that is least alike drops out of all cuts below the first. Nothing of the pack is used.
"""

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor
from torch.nn.functional import normalize, one_hot

POWER = 10.0  # alpha
THRESHOLD = 0.5  # tau; Ncut is 0..2
CUTS = 100  # places along the eigenvector that are tried


def affinity(features: Tensor, power: float = POWER) -> np.ndarray:
    """How much alike features [n, C] are, 0..1: their cosines between the least and the largest, to a power. [n, n]"""
    unit = normalize(features.double(), dim=1)
    cosine = unit @ unit.T
    least, most = cosine.aminmax()
    return ((cosine - least) / (most - least)).pow(power).cpu().numpy()


def parts(weights: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """The part [n], 0..K-1, of every point of an affinity [n, n]: a part is cut while that costs less."""
    labels, waiting, finished = np.zeros(len(weights), int), [np.arange(len(weights))], 0
    while waiting:
        part = waiting.pop()
        half, cost = cheapest_cut(weights[np.ix_(part, part)]) if len(part) > 1 else (None, np.inf)
        if half is not None and cost < threshold:
            waiting += [part[~half], part[half]]
        else:
            labels[part] = finished
            finished += 1
    return labels


def cheapest_cut(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """One side [n] bool of the cheapest of CUTS cuts along the second eigenvector, and its Ncut."""
    scale = 1 / np.sqrt(weights.sum(1))
    laplacian = np.eye(len(weights)) - weights * scale * scale[:, None]  # D^-1/2 (D - W) D^-1/2
    direction = scale * eigh(laplacian, subset_by_index=[1, 1])[1][:, 0]
    places = np.linspace(0.99 * direction.min(), 0.99 * direction.max(), CUTS)
    sides = direction > places[:, None]  # [CUTS, n]
    costs = ncuts(weights, sides)
    return sides[costs.argmin()], float(costs.min())


def ncuts(weights: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Ncut(A, B) = cut(A, B) / vol(A) + cut(A, B) / vol(B) of sides A [m, n] bool, B being the rest: [m]."""
    one, other = sides.astype(float), (~sides).astype(float)
    cut, degrees = (one @ weights * other).sum(1), weights.sum(1)
    return cut / (one @ degrees) + cut / (other @ degrees)


def likeness(features: Tensor, labels: np.ndarray) -> Tensor:
    """How much every place [h, w, C] is like each part's mean direction: [K, h, w]; enlarged, the largest decides."""
    unit = normalize(features.float(), dim=-1)
    members = one_hot(torch.from_numpy(labels).to(unit.device)).float()  # [h*w, K]
    means = members.T @ unit.flatten(0, 1) / members.sum(0)[:, None]
    return torch.einsum("h w c, k c -> k h w", unit, means)
