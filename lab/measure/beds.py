"""What is measured on: one of the small models, or any checkpoint of the user's."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import comfy.sd
import torch
from emerdiff.nodes.host.clip import conditioning_of
from emerdiff.nodes.steps.values import Source

from reasons import Stop
from small_model import model, small_flux, small_sd
from small_model.scenes import SIZE
from small_model.settings import SEGMENTS, STRENGTH


class Bed(NamedTuple):
    name: str
    load: Callable[[torch.dtype], tuple]  # -> MODEL, VAE, CONDITIONING of the empty prompt
    load_clip: Callable[[], Any]
    size: int  # pixels of its scenes; photographs are seen at this shorter side; 0: the model's own
    segments: int = SEGMENTS
    strength: float = STRENGTH  # lambda of the paper's way; the others take theirs from the layer's output
    pushes: bool = True  # whether presets other than draft suit it

    def source(self, dtype: torch.dtype) -> Source:
        return Source(*self.load(dtype))


SMALL_MODEL = Bed("small-model", model.load, model.load_clip, SIZE)
SMALL_SD = Bed("small-sd", small_sd.load, small_sd.load_clip, small_sd.SIZE, strength=small_sd.STRENGTH)
SMALL_FLUX = Bed("small-flux", small_flux.load, small_flux.load_clip, small_sd.SIZE, pushes=False)  # a transformer
BEDS = {bed.name: bed for bed in (SMALL_MODEL, SMALL_SD, SMALL_FLUX)}


def of_checkpoint(file: Path) -> Bed:
    """A checkpoint at the paper's settings."""
    return Bed(file.stem, partial(load_checkpoint, file), partial(clip_of, file), 0, 20, 10.0)


def load_checkpoint(file: Path, dtype: torch.dtype) -> tuple:
    loaded, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(file), model_options={"dtype": dtype})
    return loaded, vae, conditioning_of(clip, "")


def clip_of(file: Path) -> Any:
    return comfy.sd.load_checkpoint_guess_config(str(file), output_model=False, output_vae=False)[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=BEDS, default="small-model", help="which of the small models")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of Stable Diffusion instead")


def chosen(model: str, checkpoint: Path | None) -> Bed:
    """The small model of this name, unless there is a checkpoint."""
    if checkpoint and not checkpoint.is_file():
        raise Stop(f"There is no file {checkpoint}: --checkpoint names a checkpoint.")
    if model not in BEDS:
        raise Stop(f"There is no small model {model}: --model takes {' or '.join(BEDS)}.")
    return of_checkpoint(checkpoint) if checkpoint else BEDS[model]
