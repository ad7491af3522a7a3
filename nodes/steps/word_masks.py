"""segments + text -> masks of the segments that the words name, and of the words' own places."""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.borders import ROUGH, Look
from ...emerdiff_ops.grid import Grid
from ...emerdiff_ops.segments.colors import highlight, with_texts
from ...emerdiff_ops.text_scores import best_segments, from_least_to_most, split_phrases
from .modulate import workplace
from .score_text import Asked, Reader, scores_of, signs_of
from .select import picture_under
from .values import Segmentation, size_of

log = logging.getLogger("EmerDiff")


class Found(NamedTuple):
    """What a text found in pictures; rows are ordered by picture, then by phrase."""

    mask: Tensor  # of the segments picked, 0 or 1: [B * P, H, W]
    scores: Tensor  # of all segments: [B, P, K]
    soft: Tensor  # of each phrase, 0 to 1: [B * P, H, W]
    unnamed: Tensor  # of what no phrase names, 0 to 1: [B, H, W]


def find_words(reader: Reader, segmentation: Segmentation, image, asked: Asked, count=1, threshold=0.0) -> Found:
    """The segments that fit each phrase best, and each phrase's own map along the picture's borders."""
    signs = signs_of(reader, segmentation, image, asked)
    scores = scores_of(signs, segmentation, asked.by)
    place = workplace(reader.model.load_device, signs.grid.working, size_of(segmentation.labels))
    pairs = zip(signs.maps, picture_under(segmentation, image), strict=True)
    soft = torch.stack([place.run(partial(_along_borders, maps, picture, signs.grid)) for maps, picture in pairs])
    mask = masks_of_the_best(segmentation, scores, asked.text, count, threshold)
    return Found(mask, scores, soft.flatten(0, 1), 1 - soft.amax(1))


def masks_of_the_best(segmentation: Segmentation, scores: Tensor, text: str, count=1, threshold=0.0) -> Tensor:
    """Masks [B * P, H, W] of the segments that fit each phrase best, phrase-major inside an image."""
    phrases, chosen = split_phrases(text), best_segments(scores, count, threshold)  # [B, P, K]
    for index, phrase in (~chosen.any(-1)).nonzero().tolist():
        log.warning(
            'no segment of picture %d scores above %g for "%s"; its mask is empty. The best scores %.2f.',
            index, threshold, phrases[phrase], scores[index, phrase].max(),
        )  # fmt: skip
    masks = [each[:, labels.long()] for each, labels in zip(chosen, segmentation.labels)]  # [P, H, W] each
    return torch.cat(masks).float()


def _along_borders(maps: Tensor, picture: Tensor, grid: Grid, device: torch.device) -> Tensor:
    """Maps [P, h, w] of one picture as soft masks [P, H, W], on the processor."""
    look = Look(picture.float().to(device), grid)
    return torch.stack([each.cpu() for each in look.follow(from_least_to_most(maps).to(device), ROUGH)])


def picture_with_scores(segmentation: Segmentation, image, masks, scores) -> Tensor:
    """The picture with each phrase's mask highlighted and every segment's score written in it: [B * P, H, W, 3]."""
    phrases, under = scores.shape[1], picture_under(segmentation, image)
    picture, labels = (each.repeat_interleave(phrases, 0) for each in (under, segmentation.labels))
    texts = [[f"{score:.1f}" for score in each] for each in scores.flatten(0, 1).tolist()]
    return with_texts(highlight(picture, masks), labels, texts)
