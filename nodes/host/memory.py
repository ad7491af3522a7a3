"""How many rows go through the network at once: what fits by the host's estimate, fewer where memory ran out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import comfy.model_management
import torch

from .network import latent_channels

log = logging.getLogger("EmerDiff")
Answer = TypeVar("Answer")

MOST_ROWS = 32  # more rows in one batch gain nothing
SHARE_OF_MEMORY = 0.7  # of what is free, for one batch
SPARE = 2**29  # bytes
PROCESSOR = torch.device("cpu")


class RowsAtOnce:
    """The most rows of a latent in one evaluation, `most`, halved whenever memory runs out.

    `rows`, if given, replaces the host's estimate.
    """

    def __init__(self, model, latent_size: tuple[int, int], rows: int | None = None):
        self.most = rows or rows_that_fit(model, latent_size)

    def in_parts(self, evaluate: Callable[[range], Answer], count: int, riding: int = 0) -> list[Answer]:
        """evaluate(rows) on 0 to count - 1, in parts as large as memory allows; each includes `riding` more rows."""
        answers: list[Answer] = []
        following = 0
        while following < count:
            rows = range(following, min(count, following + self.most - riding))
            answer = self._attempt(partial(evaluate, rows), len(rows) + riding, fewest=1 + riding)
            if answer is not None:
                answers.append(answer)
                following = rows.stop
        return answers

    def _attempt(self, evaluate: Callable[[], Answer], rows: int, fewest: int) -> Answer | None:
        """evaluate(), which runs `rows` rows; None when memory ran out, for another try with the new `self.most`."""
        try:
            return evaluate()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if rows <= fewest:
                raise comfy.model_management.OOM_EXCEPTION(
                    "EmerDiff ran out of memory with a single mask: lower resolution, or close other programs"
                ) from error
        # Out here the error is gone, and with it what did not fit.
        self.most = max(fewest, rows // 2)
        log.warning("memory ran out with %d rows at once; going on with %d", rows, self.most)
        comfy.model_management.soft_empty_cache()
        return None


class Workplace:
    """Where tensors are processed after the network: on its device, and on the processor once that is full.

    `need` is how many bytes the work takes at a time; the host makes room for them first.
    """

    def __init__(self, device: torch.device, need: int):
        self.device = device
        if device == PROCESSOR:
            return
        comfy.model_management.free_memory(need, device)
        free = comfy.model_management.get_free_memory(device)
        if free < need:
            self._leave(f"{need / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")

    def run(self, work: Callable[[torch.device], Answer]) -> Answer:
        """work(device), and again on the processor where memory ran out."""
        try:
            return work(self.device)
        except RuntimeError as error:
            if self.device == PROCESSOR or not is_out_of_memory(error):
                raise
        # Out here the error is gone, and with it what did not fit.
        self._leave("memory ran out")
        comfy.model_management.soft_empty_cache()
        return work(self.device)

    def _leave(self, why: str) -> None:
        log.warning("%s on %s: masks are made on the processor, which is slower", why, self.device)
        self.device = PROCESSOR


def room_to_spare(device: torch.device) -> int:
    """Bytes that may be held on a device for as long as they save work."""
    return min(SPARE, int(comfy.model_management.get_free_memory(device)) // 4)


def free_on_processor() -> int:
    """Bytes for finished masks."""
    return int(comfy.model_management.get_free_memory(PROCESSOR))


def tokens_that_fit(model, pictures: int, work: int) -> int:
    """How many tokens' attention to each other fits into a quarter of the free memory on the model's device.

    A pair of tokens takes two bytes in each picture, and `work` more bytes in one picture at a time.
    """
    free = comfy.model_management.get_free_memory(model.load_device)
    return max(1, int((free / 4 / (2 * pictures + work)) ** 0.5))


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, comfy.model_management.OOM_EXCEPTION) or "out of memory" in str(error).lower()


def rows_that_fit(model, latent_size: tuple[int, int]) -> int:
    """How many rows of this latent one batch may hold beside the model in the memory that is free now, at least two."""
    need = model.memory_required([1, latent_channels(model), *latent_size])
    free = model.get_free_memory(model.load_device) - (model.model_size() - model.loaded_size())
    return max(2, min(MOST_ROWS, int(SHARE_OF_MEMORY * free / need)))
