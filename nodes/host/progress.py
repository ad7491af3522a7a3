"""What the user sees while a node runs: bar, time left, preview, a line of text on the node; and Cancel."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import comfy.model_management
import comfy.utils
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context
from torch import Tensor

from ...emerdiff_ops.segments.colors import as_pil
from .time_left import TimeLeft, duration_in_words

log = logging.getLogger("EmerDiff")

SECONDS_BETWEEN_PREVIEWS = 1.0
AT_ONCE = min(4, os.cpu_count() or 1)  # pictures; more would wait for memory


class Progress:
    """The node's progress bar over its evaluations, with the time left; every step is also a chance to cancel.

    Each stage of a run first says what it expects to do. `unit` is the user's word for what is counted.
    `previews`: whether pictures are shown as they form.
    """

    def __init__(self, unit: str = "evaluations", previews: bool = False):
        self.unit, self.previews = unit, previews
        self.clock = TimeLeft()
        self.bar = comfy.utils.ProgressBar(self.clock.total)
        self.begin = self.last = self.shown = time.perf_counter()
        self.said = False

    def expect(self, kind: str, amount: int, weight: float) -> None:
        """`amount` more of `kind` will be done; `weight` is the cost of one, relative to other kinds."""
        self.clock.expect(kind, amount, weight)
        self.bar.total = self.clock.total

    def step(self, kind: str, amount: int = 1, preview: Callable[[], Tensor] | None = None) -> None:
        """`amount` more of `kind` are done. preview() gives a picture [H, W, 3]; it is asked for once a second."""
        throw_if_cancelled()
        now = time.perf_counter()
        self.clock.add(kind, now - self.last, amount)
        self.last, done = now, self.clock.so_far
        picture = None
        if now - self.shown > SECONDS_BETWEEN_PREVIEWS:
            self.shown = now
            left = self.clock.left()
            if left is not None:
                self.said = True
                show_text(f"{done} of {self.bar.total}, about {duration_in_words(left)} left")
            picture = self.previews and preview and shows_previews() and self.picture(preview())
        self.bar.update_absolute(done, self.bar.total, picture or None)
        if done == self.bar.total and self.said:
            show_text(f"{done} {self.unit} in {duration_in_words(now - self.begin)}")

    def picture(self, preview: Tensor) -> tuple:
        """A preview [H, W, 3] as the host sends it."""
        return "JPEG", as_pil(preview, args.preview_size), args.preview_size


def shows_previews() -> bool:
    """Whether the host shows pictures as they form: by --preview-method, or as the front end asks for this prompt."""
    return args.preview_method != LatentPreviewMethod.NoPreviews


def counted(items: Sequence, unit: str) -> Iterator:
    """The items, for work outside the network one after another. After each, the bar steps and Cancel can act.

    A single item has no bar. `unit` names the items, in the plural.
    """
    throw_if_cancelled()
    progress = Progress(unit) if len(items) > 1 else None
    if progress is not None:
        progress.expect(unit, len(items), 1.0)
    for item in items:
        yield item
        throw_if_cancelled()
        if progress is not None:
            progress.step(unit)


def side_by_side(work: Callable, items: Sequence, unit: str) -> list:
    """work(item) for all items outside the network, a few at once: numpy and Pillow leave Python free meanwhile.

    After each, the bar steps and Cancel can act, as in `counted`.
    """
    inference = torch.is_inference_mode_enabled()  # set for this thread alone

    def as_here(item):
        with torch.inference_mode(inference):
            return work(item)

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        return [each.result() for each in counted([pool.submit(as_here, item) for item in items], unit)]
    finally:
        pool.shutdown(cancel_futures=True)


def show_text(text: str) -> None:
    """Put a line of text on the node that runs, where a server runs."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    node = shown_node()
    if server is not None and node is not None:
        server.send_progress_text(text, node)


def shown_node() -> str | None:
    """The id of the node that the user sees running: the one that expanded into this one, or this one itself."""
    running = get_executing_context()
    return None if running is None else get_progress_state().dynprompt.get_display_node_id(running.node_id)


def show_notes(notes: list[str]) -> None:
    """Sentences for the user: in the log as warnings, and on the node."""
    for note in notes:
        log.warning(note)
    if notes:
        show_text(" ".join(notes))


def throw_if_cancelled() -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()
