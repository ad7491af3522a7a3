"""Pictures of segments for people: stable colours, outlines, numbers.

Images [B, H, W, 3] float32 in 0..1, labels [B, H, W] int16, masks [B, H, W] float32; drawn pictures lie on
the processor, because people see them as files. Drawing a line or a digit touches only the pixels that it covers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .labels import unwritten

LUMINANCE = (0.299, 0.587, 0.114)
SMALLEST_NUMBER = 12  # pixels; smaller digits cannot be read
DIMMED = 0.45  # share of luminance that pixels outside the selection keep
PIXEL = np.dtype("V12")  # three float32 that are copied as one
# OKLab (Ottosson 2020): linear RGB -> cone responses -> cube roots -> lightness and two colour axes
RGB_TO_LMS = ((0.4122214708, 0.5363325363, 0.0514459929),
              (0.2119034982, 0.6806995451, 0.1073969566),
              (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
LMS_TO_LAB = ((0.2104542553, 0.7936177850, -0.0040720468),
              (1.9779984951, -2.4285922050, 0.4505937099),
              (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
# Linear RGB as people without red cones, or without green cones, see it (Machado, Oliveira, Fernandes 2009, severity 1)
NO_RED = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
NO_GREEN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
CONFUSED = 2.5  # weight of distances seen without red or green; not all colours can be far apart for everybody


def palette(count: int) -> torch.Tensor:
    """`count` well separated colours [count, 3] float32 in 0..1; colour k is the same whatever the count.

    Each colour comes from a fixed set of soft ones. It is the farthest in OKLab from all before it and from black, grey
    and white. Distances are as seen by most people and by people who confuse red and green. After a few hundred,
    colours become hard to tell apart.
    """
    colours = _candidates()  # [M, 3]
    seen = np.stack([_oklab(colours), *(CONFUSED * _oklab(colours, eye) for eye in (NO_RED, NO_GREEN))])  # [3, M, 3]
    greys = _oklab(np.array([[0.0], [0.5], [1.0]]).repeat(3, 1))
    nearest = np.linalg.norm(seen[0, :, None] - greys, axis=-1).min(1)  # [M]
    chosen = []
    for _ in range(count):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(seen - seen[:, chosen[-1:]], axis=-1).min(0))
    return torch.from_numpy(colours[chosen]).float()


def colorize(labels: torch.Tensor, colours: torch.Tensor | None = None) -> torch.Tensor:
    """The label image: each segment in its colour, [B, H, W] -> [B, H, W, 3].

    `colours`, here and below, is a palette with enough colours, to reuse for many pictures.
    """
    colours = palette(int(labels.max()) + 1) if colours is None else colours
    return _stacked(lambda own: _coloured(colours, own.cpu()), labels)


def overlay(
    image: torch.Tensor,
    labels: torch.Tensor,
    alpha: float = 0.45,
    outline: bool = True,
    numbers: bool = True,
    colours: torch.Tensor | None = None,
) -> torch.Tensor:
    """The picture under translucent segment colours, with borders and each segment's number at its middle.

    `alpha` is the share of the colour. A segment too narrow for digits of 12 px gets no number.
    """
    colours = palette(int(labels.max()) + 1) if colours is None else colours
    texts = [str(number) for number in range(len(colours))]

    def drawn(picture, label):
        label = label.cpu()
        mixed = torch.lerp(_rgb(picture), _coloured(colours, label), alpha)
        if outline:
            _draw_outlines(mixed, _borders(label))
        if numbers:
            _write(mixed, label, texts)
        return mixed

    return _stacked(drawn, image, labels)


def with_texts(image: torch.Tensor, labels: torch.Tensor, texts: list[list[str]]) -> torch.Tensor:
    """The picture with a short text at the middle of every segment; texts[b][k] is that of segment k of image b.

    A segment too narrow for letters of 12 px gets none.
    """

    def drawn(picture, label, own):
        written = _rgb(picture).clone()
        _write(written, label.cpu(), own)
        return written

    return _stacked(drawn, image, labels, texts)


def highlight(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The masked region in colour and outlined, the rest grey and dim; soft masks fade between the two."""
    whole = unwritten(*mask.shape, 3)
    for each in zip(image, mask, whole, strict=True):
        draw_highlight(*each)
    return whole


def draw_highlight(picture: torch.Tensor, mask: torch.Tensor, shown: torch.Tensor) -> None:
    """Write `highlight` of one picture [H, W, 3] and mask [H, W] over `shown` [H, W, 3]."""
    picture, mask = _rgb(picture).contiguous(), mask.float().cpu()
    grey = np.repeat(DIMMED * np.array(LUMINANCE, np.float32)[:, None], 3, 1)  # of all three channels to each
    np.matmul(picture.numpy(), grey, out=shown.numpy())
    _fade_in(shown, picture, mask)
    _draw_outlines(shown, _borders(mask > 0.5))


def _stacked(drawn: Callable[..., torch.Tensor], *batches: torch.Tensor | list[list[str]]) -> torch.Tensor:
    """Draw each picture into one batch: a long video is held once, which torch.stack would hold twice."""
    for number, each in enumerate(zip(*batches, strict=True)):
        picture = drawn(*each)
        if number == 0:
            whole = unwritten(len(batches[0]), *picture.shape)
        whole[number] = picture
    return whole


def _candidates() -> np.ndarray:
    """An even RGB grid without glaring, dark, pale and grey colours: [M, 3]."""
    grid = np.stack(np.meshgrid(*[np.linspace(0.1, 0.95, 22)] * 3, indexing="ij"), -1).reshape(-1, 3)
    lightness, a, b = _oklab(grid).T
    chroma = np.hypot(a, b)
    return grid[(lightness > 0.45) & (lightness < 0.92) & (chroma > 0.05) & (chroma < 0.18)]


def _oklab(rgb: np.ndarray, eye=None) -> np.ndarray:
    """sRGB in OKLab, as seen by an `eye`, a matrix from linear RGB to linear RGB."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = linear if eye is None else (linear @ np.array(eye).T).clip(0)
    return np.cbrt(seen @ np.array(RGB_TO_LMS).T) @ np.array(LMS_TO_LAB).T


def _rgb(picture: torch.Tensor) -> torch.Tensor:
    return picture[..., :3].float().cpu()


def _coloured(colours: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return colours.index_select(0, labels.flatten().int()).reshape(*labels.shape, 3)


def _fade_in(shown: torch.Tensor, picture: torch.Tensor, mask: torch.Tensor) -> None:
    """lerp(shown, picture, mask) in place, without arithmetic where the mask is 0 or 1."""
    pixels, coming = (each.numpy().view(PIXEL)[..., 0] for each in (shown, picture))
    wholly, partly = mask.numpy() == 1, mask.numpy() != 0
    np.copyto(pixels, coming, where=wholly)
    partly ^= wholly
    if partly.any():
        at = np.nonzero(partly)
        shown[at] = torch.lerp(shown[at], picture[at], mask[at][:, None])


def _borders(labels: torch.Tensor) -> np.ndarray:
    """The pixels right of or below a border between segments: labels [H, W] -> [H, W] bool."""
    values = labels.numpy()
    borders = np.zeros(values.shape, bool)
    borders[:, 1:] |= values[:, 1:] != values[:, :-1]
    borders[1:] |= values[1:] != values[:-1]
    return borders


def _draw_outlines(picture: torch.Tensor, borders: np.ndarray) -> None:
    """Draw `borders` [H, W] into `picture` [H, W, 3]: a light line with dark edges, visible on any background."""
    width = max(1, round(min(borders.shape) / 450))
    seam, line = (_widened(borders, size).ravel() for size in (3 * width, width))
    at = np.flatnonzero(seam)  # the line lies within
    share = 0.85 * torch.from_numpy(line[at]).float()[:, None]
    _change(picture, at, lambda pixels: torch.lerp(0.6 * pixels, torch.ones_like(pixels), share))


def _change(picture: torch.Tensor, at: np.ndarray, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change the pixels [N, 3] of a picture [H, W, 3] at the indices `at` [N], counted row by row."""
    pixels, places = picture.view(-1, 3), torch.from_numpy(at)
    pixels.index_copy_(0, places, change(pixels.index_select(0, places)))


def _widened(borders: np.ndarray, size: int) -> np.ndarray:
    """True where a window of size x size pixels (if even, one more before its middle) holds a border."""
    found, reach = np.pad(borders, (size // 2, size - 1 - size // 2)), 1
    while reach < size:  # each pixel covers `reach` x `reach`, and adds the window `step` farther on
        step = min(reach, size - reach)
        found = found[:-step] | found[step:]
        found = found[:, :-step] | found[:, step:]
        reach += step
    return found


def _write(picture: torch.Tensor, labels: torch.Tensor, texts: list[str]) -> None:
    """Write each segment's text at its middle into `picture` [H, W, 3]."""
    layer = Image.new("RGBA", (labels.shape[1], labels.shape[0]))
    draw = ImageDraw.Draw(layer)
    usual = max(SMALLEST_NUMBER, min(labels.shape) / 28)
    for number, x, y, room in _middles(labels.numpy()):
        if room >= SMALLEST_NUMBER:
            size = min(usual, room)
            x, y = (np.clip(at, 0.7 * size, end - 0.7 * size) for at, end in zip((x, y), layer.size))
            font, stroke = ImageFont.load_default(size), max(1, round(size / 10))
            draw.text(
                (x, y), texts[number], fill="white", font=font, anchor="mm", stroke_width=stroke, stroke_fill="black"
            )
    drawn = np.asarray(layer).reshape(-1, 4)
    at = np.flatnonzero(drawn[:, 3])
    ink = torch.from_numpy(drawn[at]) / 255  # drawing on a clear layer gives premultiplied colours
    _change(picture, at, lambda pixels: pixels * (1 - ink[:, 3:]) + ink[:, :3])


def _middles(labels: np.ndarray) -> list[tuple[int, int, int, float]]:
    """Number, x, y and free diameter (pixels) of the most interior point of each segment's largest part."""
    step = max(1, min(labels.shape) // 256)  # accurate enough, and a large image costs no more than a small one
    small = labels[::step, ::step].astype(np.int32)
    middles = []
    for number, box in enumerate(ndimage.find_objects(small + 1)):
        if box is None:
            continue
        parts, _ = ndimage.label(small[box] == number)
        largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        (inner,) = ndimage.find_objects(largest.astype(np.int32))
        depth = ndimage.distance_transform_edt(np.pad(largest[inner], 1))  # the border of the image is a border too
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        starts = [outer.start + own.start for outer, own in zip(box, inner)]
        middle = [(start + position - 1) * step + step // 2 for start, position in zip(starts, (y, x))]
        middles.append((number, middle[1], middle[0], 2 * depth[y, x] * step))
    return middles


def in_bytes(picture: torch.Tensor) -> torch.Tensor:
    """A picture [..., 3] in 0..1 as uint8."""
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)


def as_pil(picture: torch.Tensor, side: int) -> Image.Image:
    """A picture [H, W, 3] in 0..1 as an image whose longer side is `side`, its pixels as squares."""
    image = Image.fromarray(in_bytes(picture).cpu().numpy())
    scale = side / max(image.size)
    return image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.NEAREST)
