"""Procedural scenes with pixel-exact labels, endless by seed.

Two background regions (sky over ground, a wavy tilted horizon) and two to four objects of different
shapes, each with its own hue, shading and texture. Everything is defined in the unit square, so the same
seed can be rendered at any size. Labels: 0 sky, 1 ground, 2.. the objects in drawing order.
"""

import colorsys
from typing import NamedTuple

import numpy as np

SHAPES = ("disc", "square", "triangle", "ring", "star", "bar")
SIZE = 128
HELD_OUT = 10_000_000  # seeds from here on are never used in training


class Scene(NamedTuple):
    image: np.ndarray  # [H, W, 3] float32, 0..1
    labels: np.ndarray  # [H, W] uint8
    words: tuple[str, ...]  # words[i] names label i


class Place(NamedTuple):
    x: float  # of the middle, in the unit square
    y: float
    radius: float  # half a shape's width
    angle: float  # radians


def scene(seed: int, size: int = SIZE) -> Scene:
    """Render the scene of a seed: image `[size, size, 3]` in 0..1, labels `[size, size]`, a word per label."""
    return _drawn(seed, size, (2, 5), _one_thing)


def touching_scene(seed: int, size: int = SIZE) -> Scene:
    """One or two pairs of equal things that touch, in no given direction; both of a pair have the same word."""
    return _drawn(seed, size, (1, 3), _equal_things)


def _drawn(seed, size, numbers, things) -> Scene:
    """Sky and ground, and for each of some shapes the signed distance and the surface of what `things` makes of it."""
    rng = np.random.default_rng(seed)
    x, y = pixel_grid(size)
    image, horizon, colours = backgrounds(rng, x, y)
    labels = (horizon < 0).astype(np.uint8)
    words = ["sky", "ground"]
    for shape in rng.permutation(SHAPES)[: rng.integers(*numbers)]:
        for distance, surface in things(rng, shape, x, y, labels, colours):
            image = over(image, surface, distance)
            labels[distance < 0] = len(words)
            words.append(str(shape))
    return Scene(np.clip(image, 0, 1).astype(np.float32), labels, tuple(words))


def _one_thing(rng, shape, x, y, labels, colours):
    distance, u, v = _placed_shape(rng, shape, x, y, labels)
    yield distance, painted(rng, distinct_colour(rng, colours), u, v, x, y)


def _equal_things(rng, shape, x, y, labels, colours):
    colour, pattern = distinct_colour(rng, colours), rng.integers(2**32)
    for distance, u, v in _touching_pair(rng, shape, x, y, labels > 1):
        yield distance, painted(np.random.default_rng(pattern), colour, u, v, x, y)


def pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y [size, size] float32 of the pixels' middles in the unit square."""
    y, x = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5) / size
    return x, y


def over(image: np.ndarray, surface: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The surface [H, W, 3] laid over the image where the signed distance [H, W] is negative, its edge a pixel wide."""
    alpha = np.clip(0.5 - distance * len(distance), 0, 1)[..., None]
    return image * (1 - alpha) + surface * alpha


def backgrounds(rng, x, y):
    """Sky over ground [H, W, 3], the height above the horizon [H, W], and both colours."""
    level = rng.uniform(0.35, 0.65) + rng.uniform(-0.15, 0.15) * (x - 0.5)
    for frequency in (1, 2, 4):
        level = level + rng.uniform(0, 0.04) / frequency * np.sin(2 * np.pi * (frequency * x + rng.uniform()))
    horizon = level - y  # > 0 above the horizon
    sky = _colour(rng, (0.15, 0.6), (0.65, 1.0))
    ground = distinct_colour(rng, [sky], (0.25, 0.75), (0.25, 0.75))
    above = sky * (1 + rng.uniform(-0.35, 0.35) * (y[..., None] - 0.3)) + 0.16 * (_noise(rng, x, y, 3, 2) - 0.5)
    below = ground * (1 + rng.uniform(-0.4, 0.4) * (y[..., None] - 0.7)) * (0.8 + 0.4 * _noise(rng, x, y, 8, 3))
    alpha = np.clip(0.5 + horizon * x.shape[0], 0, 1)[..., None]
    return above * alpha + below * (1 - alpha), horizon, [sky, ground]


def _placed_shape(rng, shape, x, y, labels):
    """Signed distance (unit square) and local coordinates; retried until it hides no earlier object by half."""
    for _ in range(20):
        distance, u, v = in_place(shape, random_place(rng), x, y)
        covered = labels[distance < 0]
        hidden = np.bincount(covered, minlength=8)[2:] / np.maximum(np.bincount(labels.ravel(), minlength=8)[2:], 1)
        if hidden.max() < 0.4:
            break
    return distance, u, v


def _touching_pair(rng, shape, x, y, taken):
    """Two shapes as `_placed_shape` gives them: off the frame and off what is taken, one hardly over the other."""
    while True:
        first, direction = random_place(rng), rng.uniform(0, 2 * np.pi)
        apart = first.radius * rng.uniform(1.2, 2.6)
        beside = first.x + apart * np.cos(direction), first.y + apart * np.sin(direction)
        second = Place(*beside, first.radius, rng.uniform(0, 2 * np.pi))
        pair = [in_place(shape, place, x, y) for place in (first, second)]
        inside = [distance < 0 for distance, _, _ in pair]
        covered = (inside[0] & inside[1]).sum() / max(inside[0].sum(), 1)
        both = inside[0] | inside[1]
        framed = both[[0, -1]].any() or both[:, [0, -1]].any()
        if 0.002 < covered < 0.04 and not framed and not (both & taken).any():
            return pair


def random_place(rng) -> Place:
    radius = rng.uniform(0.14, 0.27) / 2
    x, y = rng.uniform(0.12, 0.88, 2)
    return Place(x, y, radius, rng.uniform(0, 2 * np.pi))


def in_place(shape: str, place: Place, x, y):
    """Signed distance (unit square) to a shape in its place, negative inside, and local coordinates u, v."""
    right, down, cosine, sine = x - place.x, y - place.y, np.cos(place.angle), np.sin(place.angle)
    u, v = (cosine * right + sine * down) / place.radius, (-sine * right + cosine * down) / place.radius
    return _signed_distance(shape, u, v) * place.radius, u, v


def _signed_distance(shape, u, v):
    """Negative inside; shapes have half-width 1 (the bar is 1.6 long, so that areas stay comparable)."""
    r = np.hypot(u, v)
    if shape == "disc":
        return r - 1
    if shape == "ring":
        return np.abs(r - 0.75) - 0.27
    if shape == "square":
        return _box(u, v, 0.88, 0.88)
    if shape == "bar":
        return _box(u, v, 1.5, 0.4)
    if shape == "triangle":
        return _polygon(u, v, _ngon(3, 1.25))
    points = _ngon(10, 1.2)
    points[1::2] *= 0.5
    return _polygon(u, v, points)  # star


def _box(u, v, a, b):
    du, dv = np.abs(u) - a, np.abs(v) - b
    return np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0)


def _ngon(n, radius):
    angles = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def _polygon(u, v, points):
    nearest = np.full(u.shape, np.inf, np.float32)
    inside = np.zeros(u.shape, bool)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, 0)):
        ex, ey, wx, wy = bx - ax, by - ay, u - ax, v - ay
        along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, (wx - ex * along) ** 2 + (wy - ey * along) ** 2)
        crosses = (ay > v) != (by > v)
        inside ^= crosses & (wx < ex * wy / (ey if ey else 1e-9))
    return np.sqrt(nearest) * np.where(inside, -1, 1)


def painted(rng, colour, u, v, x, y):
    """A shaded, textured surface of one colour."""
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.1, 0.3) * (np.cos(angle) * u + np.sin(angle) * v)
    texture = 1 + rng.uniform(0.05, 0.25) * (_noise(rng, x, y, 12, 2)[..., 0] - 0.5)
    if rng.uniform() < 0.3:
        texture = texture * (1 + rng.uniform(0.06, 0.16) * np.sin(rng.uniform(6, 12) * u))
    return colour * (light * texture)[..., None]


def _noise(rng, x, y, cells, octaves):
    """Value noise in 0..1, the same at every resolution: smooth interpolation between random lattice values."""
    total, weight = np.zeros(x.shape, np.float32), 0.0
    for octave in range(octaves):
        n = cells * 2**octave
        lattice = rng.uniform(size=(n + 2, n + 2)).astype(np.float32)
        ix, iy = (x * n).astype(int), (y * n).astype(int)
        fx, fy = (t * t * (3 - 2 * t) for t in (x * n - ix, y * n - iy))
        top = lattice[iy, ix] * (1 - fx) + lattice[iy, ix + 1] * fx
        bottom = lattice[iy + 1, ix] * (1 - fx) + lattice[iy + 1, ix + 1] * fx
        total += (top * (1 - fy) + bottom * fy) * 0.5**octave
        weight += 0.5**octave
    return (total / weight)[..., None]


def _colour(rng, saturation=(0.45, 0.95), value=(0.35, 1.0)):
    return np.array(colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value)), np.float32)


def distinct_colour(rng, others, saturation=(0.45, 0.95), value=(0.35, 1.0)):
    """A colour at least 0.35 away (RGB distance) from the others, and added to them."""
    for _ in range(50):
        colour = _colour(rng, saturation, value)
        if all(np.linalg.norm(colour - other) > 0.35 for other in others):
            break
    others.append(colour)
    return colour
