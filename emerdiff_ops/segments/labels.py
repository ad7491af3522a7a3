"""Assign segment numbers (paper, section 3: argmax over the difference maps), and convert them to other forms.

labels [H, W] or [B, H, W] int16, numbers 0..count-1; masks float32, 0 or 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ..difference import resize_maps


def assign(scores: Iterable[torch.Tensor], size: tuple[int, int] | None = None) -> torch.Tensor:
    """label(x, y) = argmax_i score_i(x, y) (paper, section 3): K maps [H, W] -> labels [H, W] int16.

    Ties go to the lowest number. `size` (H, W) resizes each map first; one map at a time is held, whatever K.
    Raises ValueError when a score is NaN.

    >>> assign(torch.tensor([[[0.9, 0.5]], [[0.1, 0.5]], [[0.3, 0.6]]]))  # K = 3 maps of 1 x 2 pixels
    tensor([[0, 2]], dtype=torch.int16)
    """
    comparable = _comparable(scores, size)
    best = next(comparable)
    labels = torch.zeros(best.shape, dtype=torch.int16, device=best.device)
    for number, score in enumerate(comparable, 1):
        labels.masked_fill_(score > best, number)
        best = torch.maximum(best, score)
    return labels


def _comparable(scores: Iterable[torch.Tensor], size: tuple[int, int] | None) -> Iterator[torch.Tensor]:
    for number, score in enumerate(scores):
        if size is not None:
            score = resize_maps(score[None], size)[0]
        if score.isnan().any():
            raise ValueError(f"the difference map of segment {number} holds NaN; run the model in bf16 or fp32")
        yield score


def empty_masks(*shape: int) -> torch.Tensor:
    """Zeros that take memory only where something is written later: most of a mask is never touched.

    The system allocates the pages of numpy's zeros on their first use. torch writes its zeros at once.
    """
    return torch.from_numpy(np.zeros(shape, np.float32))


def unwritten(*shape: int) -> torch.Tensor:
    """An uninitialized tensor [*shape] float32. numpy asks the system for huge pages, where torch waits for thousands
    of small ones: a gigabyte of pictures takes a fraction of the time.
    """
    return torch.from_numpy(np.empty(shape, np.float32))


def deal_out(masks: torch.Tensor, pictures: int) -> torch.Tensor:
    """MASK [M, H, W] as [pictures, N, H, W]: M = pictures * N, picture after picture, or one mask for all pictures.

    Each picture of a batch has the same number of masks, padded with empty ones. A MASK is a plain tensor and cannot
    record where a picture begins, and nodes of other packs deal out equally too.
    Raises ValueError when the masks cannot be dealt out.
    """
    if len(masks) == 1:
        return masks.expand(pictures, 1, -1, -1)
    if len(masks) % pictures:
        raise ValueError(
            f"{len(masks)} masks cannot be dealt out to {pictures} pictures: give one mask for all of them, or the "
            "same number for each, picture after picture"
        )
    return masks.unflatten(0, (pictures, -1))


def fill_masks(labels: torch.Tensor, masks: torch.Tensor) -> None:
    """Write 1 into masks[k] where labels [H, W] are k, and touch nothing else; masks [K, H, W] start empty."""
    for number, mask in enumerate(masks):
        np.copyto(mask.numpy(), 1, where=(labels == number).numpy())


def masks_to_labels(masks: torch.Tensor) -> torch.Tensor:
    """masks [B, K, H, W] -> labels [B, H, W] int16: the largest mask at each pixel, the lowest number of ties."""
    return masks.argmax(1).to(torch.int16)


def segment_areas(labels: torch.Tensor, count: int) -> torch.Tensor:
    """The fraction of the image that each segment covers: labels [B, H, W] -> [B, count] float32."""
    counts = torch.stack([torch.bincount(image.flatten(), minlength=count) for image in labels])
    return counts / labels[0].numel()


def first_of_each(labels: torch.Tensor) -> torch.Tensor:
    """The index, counted row by row, of the first pixel of each number 0..n-1 in labels [H, W]: [n]."""
    return torch.from_numpy(np.unique(labels.flatten().numpy(), return_index=True)[1])


def labels_to_rgb(labels: torch.Tensor) -> torch.Tensor:
    """Labels [..., H, W] as colours [..., H, W, 3] uint8 that a browser reads back: five bits a channel, lowest in red.

    Each value is the middle of its eight levels, because some browsers change single levels of the pictures that a page
    reads, against tracking.
    """
    digits = torch.stack([labels.int() >> shift & 31 for shift in (0, 5, 10)], -1)
    return (digits * 8 + 4).to(torch.uint8)


def fingerprint(*segmentations: torch.Tensor) -> str:
    """Eight hexadecimal digits that tell this segmentation [B, H, W], or this list of them, from others."""
    value = 0
    for labels in segmentations:
        shape = zlib.crc32(repr(labels.shape).encode(), value)
        value = zlib.crc32(labels.cpu().numpy().tobytes(), shape)
    return f"{value:08x}"
