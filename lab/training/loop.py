"""What every training has: a rate that falls in cosines over the time given, averaged weights, checkpoints."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from small_model.photographs import FOLDER
from training.optimizer import muon_and_adamw

KEPT = Path(__file__).resolve().parents[2] / ".training"  # checkpoints, and what is learned from
SECONDS_BETWEEN_CHECKPOINTS = 120


def arguments(description: str | None, batch: int, cycles: tuple[float, ...] = (60,)) -> argparse.ArgumentParser:
    """What every training asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cycles", type=float, nargs="+", default=cycles, help="minutes of each cosine cycle, resumed parts included"
    )
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def arguments_of_photographs(description: str | None, batch: int) -> argparse.ArgumentParser:
    parser = arguments(description, batch)
    parser.add_argument("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    return parser


def continued(net: torch.nn.Module, weights: Path, strict: bool = True) -> torch.nn.Module:
    """The network with the shipped weights, where there are any."""
    if weights.exists():
        net.load_state_dict({key: value.float() for key, value in load_file(weights).items()}, strict=strict)
    return net


class Training:
    """A network, its average over the steps, and the optimizers; every group of theirs has its `peak` rate.

    make() gives the network as it begins; is_matrix(name) says which of its weights Muon is for. Its checkpoint is
    resumed from where it is there; `weights`, the average in fp16, is what is shipped.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        options: argparse.Namespace,
        is_matrix: Callable[[str], bool],
        weights: Path,
    ):
        torch.manual_seed(0)
        self.net, self.average = (make().to(options.device) for _ in range(2))
        self.average.load_state_dict(self.net.state_dict())
        rates = options.muon_rate, options.learning_rate
        self.optimizers = muon_and_adamw(self.net.named_parameters(), is_matrix, *rates)
        self.checkpoint, self.weights = KEPT / f"{weights.stem}.pt", weights
        self.step, self.seconds, self.loss = 0, 0.0, 0.0  # the loss is a running mean
        self._resume()

    def run(self, cycles: Sequence[float], loss_of: Callable[[torch.Generator], torch.Tensor]) -> None:
        """Steps down loss_of(generator) until the minutes of all cycles are over, those before included."""
        saved, end = time.monotonic(), 60 * sum(cycles)
        while self.seconds < end:
            begin = time.monotonic()
            rate = schedule(self.step, self.seconds / 60, cycles)
            loss = self._descend(loss_of(torch.Generator().manual_seed(self.step)), rate)
            self.seconds += time.monotonic() - begin
            self.loss += (loss - self.loss) * max(0.01, 1 / self.step)
            if self.step % 50 == 0:
                minutes = self.seconds / 60
                print(f"step {self.step}  {minutes:.1f} min  loss {self.loss:.4f}  rate {rate:.3f}", flush=True)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS or self.seconds >= end:
                self._save()
                saved = time.monotonic()

    def _descend(self, loss: torch.Tensor, rate: float) -> float:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        update_average(self.average, self.net, min(0.998, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return loss.item()

    def _parts(self) -> dict:
        return {"net": self.net, "ema": self.average, **{str(n): each for n, each in enumerate(self.optimizers)}}

    def _resume(self) -> None:
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=next(self.net.parameters()).device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.step, self.seconds, self.loss = state["step"], state["seconds"], state["loss"]

    def _save(self) -> None:
        """The checkpoint, written beside and renamed, and the weights to ship."""
        self.checkpoint.parent.mkdir(exist_ok=True)
        state = {name: part.state_dict() for name, part in self._parts().items()}
        unfinished = self.checkpoint.with_suffix(".tmp")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "loss": self.loss}, unfinished)
        os.replace(unfinished, self.checkpoint)
        self.ship()

    def ship(self) -> None:
        """Write the averaged weights as they are now."""
        tensors = {key: value.half().cpu().contiguous() for key, value in self.average.state_dict().items()}
        told = {"steps": str(self.step), "loss": f"{self.loss:.4f}", "minutes": f"{self.seconds / 60:.1f}"}
        save_file(tensors, self.weights, told)


def schedule(step: int, minutes: float, cycles: Sequence[float]) -> float:
    """Share of the peak rate: a cosine per cycle, each cycle from half the height of the one before."""
    cycle = 0
    while minutes > cycles[cycle] and cycle + 1 < len(cycles):
        minutes, cycle = minutes - cycles[cycle], cycle + 1
    cosine = 0.5 * (1 + math.cos(math.pi * min(minutes / cycles[cycle], 1.0)))
    return min(1.0, (step + 1) / 50) * 0.5**cycle * (0.02 + 0.98 * cosine)


@torch.no_grad()
def update_average(average, net, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
