"""What every training has: a rate that falls in cosines over the time given, averaged weights, checkpoints."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch


def schedule(step: int, minutes: float, cycles: list[float]) -> float:
    """Share of the peak rate: a cosine per cycle, each cycle from half the height of the one before."""
    cycle = 0
    while minutes > cycles[cycle] and cycle + 1 < len(cycles):
        minutes, cycle = minutes - cycles[cycle], cycle + 1
    cosine = 0.5 * (1 + math.cos(math.pi * min(minutes / cycles[cycle], 1.0)))
    return min(1.0, (step + 1) / 50) * 0.5**cycle * (0.02 + 0.98 * cosine)


@torch.no_grad()
def update_ema(ema, net, decay: float) -> None:
    torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - decay)


def resume(path: Path, device: str, **parts) -> tuple[int, float, float]:
    """Step, seconds and mean loss of the checkpoint, whose states the parts take; zeros where there is none."""
    if not path.exists():
        return 0, 0.0, 0.0
    state = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["seconds"], state["loss"]


def save(path: Path, step: int, seconds: float, loss: float, **parts) -> None:
    """The checkpoint, written beside and renamed."""
    path.parent.mkdir(exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**state, "step": step, "seconds": seconds, "loss": loss}, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)
