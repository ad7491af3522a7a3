"""Scenes that move, with pixel-exact labels that keep their number over the whole clip, endless by seed.

The things of scenes.py on tracks of their own: each goes straight on, is turned back before the picture's borders, and
spins; those drawn later pass in front of those drawn earlier. Sky and ground are seen through a window that drifts over
them. A thing's surface and shading turn with it. Labels as in scenes.py: 0 sky, 1 ground, 2.. the things.
"""

from typing import NamedTuple

import numpy as np

from .scenes import SHAPES, SIZE, Place, backgrounds, distinct_colour, in_place, over, painted, pixel_grid, random_place

FRAMES = 24
WINDOW = 0.8  # share of the background's side that is seen at once
ROOM = (0.12, 0.88)  # where the middles of things stay, in the unit square
SPEED = (0.004, 0.016)  # of a thing, sides of the picture a frame
SPIN = 0.06  # radians a frame at most, either way
DRIFT = (0.001, 0.005)  # of the window, sides of the background a frame
BEHIND = 1  # of a clip's seeds: what moves, beside the seed itself, of what is seen


class Clip(NamedTuple):
    images: np.ndarray  # [N, H, W, 3] float32, 0..1
    labels: np.ndarray  # [N, H, W] uint8
    words: tuple[str, ...]  # words[i] names label i


class Course(NamedTuple):
    """A point that goes straight on between two ends each way, and is turned back at them."""

    start: np.ndarray  # [2], x and y
    velocity: np.ndarray  # [2], a frame
    ends: tuple[float, float]

    def at(self, frame: int) -> np.ndarray:
        low, high = self.ends
        way = (self.start + frame * self.velocity - low) % (2 * (high - low))
        return low + np.minimum(way, 2 * (high - low) - way)


class Track(NamedTuple):
    shape: str
    start: Place
    course: Course
    spin: float  # radians a frame

    def at(self, frame: int) -> Place:
        x, y = self.course.at(frame)
        return self.start._replace(x=x, y=y, angle=self.start.angle + frame * self.spin)


class Motion(NamedTuple):
    tracks: list[Track]
    window: Course  # the upper left corner of what is seen of the background


def clip(seed: int, frames: int = FRAMES, size: int = SIZE) -> Clip:
    """Render the clip of a seed: images `[frames, size, size, 3]` in 0..1, labels `[frames, size, size]`."""
    motion = motion_of(seed)
    images, labels = np.empty((frames, size, size, 3), np.float32), np.empty((frames, size, size), np.uint8)
    for number in range(frames):
        images[number], labels[number] = frame(seed, motion, number, size)
    return Clip(images, labels, ("sky", "ground", *(track.shape for track in motion.tracks)))


def motion_of(seed: int) -> Motion:
    rng = np.random.default_rng((seed, BEHIND))
    shapes = [str(shape) for shape in rng.permutation(SHAPES)[: rng.integers(2, 5)]]
    window = _course(rng, rng.uniform(0, 1 - WINDOW, 2), DRIFT, (0.0, 1 - WINDOW))
    return Motion([_track(rng, shape) for shape in shapes], window)


def frame(seed: int, motion: Motion, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame: image [size, size, 3] float32 and labels [size, size]. The seed's surfaces are the same in all."""
    rng, (x, y) = np.random.default_rng(seed), pixel_grid(size)
    left, top = motion.window.at(number)
    image, horizon, colours = backgrounds(rng, left + WINDOW * x, top + WINDOW * y)
    labels = (horizon < 0).astype(np.uint8)
    for label, track in enumerate(motion.tracks, 2):
        distance, u, v = in_place(track.shape, track.at(number), x, y)
        own = (np.clip(0.5 + track.start.radius * each, 0, 0.999) for each in (u, v))
        image = over(image, painted(rng, distinct_colour(rng, colours), u, v, *own), distance)
        labels[distance < 0] = label
    return np.clip(image, 0, 1).astype(np.float32), labels


def _track(rng, shape: str) -> Track:
    start = random_place(rng)
    course = _course(rng, np.array([start.x, start.y]), SPEED, ROOM)
    return Track(shape, start, course, rng.uniform(-SPIN, SPIN))


def _course(rng, start: np.ndarray, speeds: tuple[float, float], ends: tuple[float, float]) -> Course:
    direction = rng.uniform(0, 2 * np.pi)
    return Course(start, rng.uniform(*speeds) * np.array([np.cos(direction), np.sin(direction)]), ends)
