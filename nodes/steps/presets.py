"""The presets, and what an old workflow gets in place of one that is gone."""

from collections.abc import Iterator
from contextlib import contextmanager

from ...emerdiff_ops.modulation import PRESETS
from ..host.progress import show_notes
from .checks import check_lifts

SUCCESSORS = {"thorough": "balanced"}  # by the preset that is gone


def fault_of(preset: str) -> str:
    """Why the preset is refused, as a sentence; empty where it is known."""
    if preset in [*PRESETS, *SUCCESSORS]:
        return ""
    return f"there is no preset {preset!r}: choose one of {', '.join(PRESETS)}"


def check_preset(preset: str) -> None:
    if fault := fault_of(preset):
        raise ValueError(fault)


def check_suits(model, preset: str) -> None:
    """ValueError for a preset that lifts, where the model is a transformer."""
    if PRESETS[SUCCESSORS.get(preset, preset)].lifts:
        check_lifts(model, f'the preset "{preset}" lifts, which')


@contextmanager
def known(preset: str) -> Iterator[str]:
    """The preset to run with: itself or its successor. A note on the successor comes last, after the progress texts."""
    check_preset(preset)
    successor = SUCCESSORS.get(preset)
    yield successor or preset
    if successor:
        show_notes([f'the preset "{preset}" is gone; this ran with "{successor}": choose a preset on the node'])
