"""Train the small Flux on to know words: its concepts find their places, and all else stays what it was.

PYTHONPATH=lab python3 -P -m comfyui.launch train_words training.train_words --name C --minutes 25

Goes on from the weights given. The concepts' outputs are held to the picture's (losses.py) in all blocks of two
streams. The flow is held to that of the weights before, told the same prompt with its pooled text. Checkpoints every
two and a half minutes and resumes from them. Minutes are the processor's; the rate follows one cosine over them.
"""

import argparse
import math
import os
import time
from pathlib import Path

import comfy.model_management
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from small_model.photographs import FOLDER, names, photograph
from small_model.small_flux import WEIGHTS, load_vae
from training.losses import missed, squared, wrong_words
from training.pictures import Windows, pool, windows
from training.transformer import SmallFlux

KEPT = Path(__file__).resolve().parents[2] / ".training"
SECONDS_BETWEEN_CHECKPOINTS = 150
WHOLE = {"photographs": 0.45, "textured": 0.2, "plain": 0.35}  # of steps through the whole transformer
TWO_STREAMS = {"photographs": 0.15, "textured": 0.25, "plain": 0.6}  # of steps through the two streams alone
POOLED = 0.4  # of the prompts with pooled text; concepts are searched for without
TELLING, TAUGHT, FLOW = 0.3, 3.0, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--name", required=True, help="of the checkpoint and the weights")
    add("--minutes", type=float, required=True)
    add("--weights", type=Path, default=WEIGHTS, help="to go on from")
    add("--batch", type=int, default=8)
    add("--rate", type=float, default=1e-3)
    add("--whole", type=float, default=0.35, help="of the steps, .3 more after 70%% of the minutes")
    add("--power", type=float, default=1.0, help="a word counts as its area to the power of 1 less this")
    add("--free", action="store_true", help="the flow is held to the picture alone")
    add("--pool", type=int, default=720, help="pictures that are encoded")
    add("--root", type=Path, default=FOLDER, help="the folder of the photographs")
    train(parser.parse_args())


class Training:
    """The network, its average over the steps, what it was before, and the optimizer."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.step, self.seconds = options, 0, 0.0
        self.net, self.average, self.before = loaded(options.weights), loaded(options.weights), loaded(WEIGHTS)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
        self.checkpoint = KEPT / f"{options.name}.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.step, self.seconds = state["step"], state["seconds"]

    @property
    def done(self) -> float:
        return min(self.seconds / 60 / self.options.minutes, 1.0)

    def descend(self, loss: torch.Tensor) -> None:
        rate = min(1, (self.step + 1) / 15) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.done)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate * rate
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        decay = min(0.995, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - decay)
        self.step += 1

    def save(self) -> None:
        """The checkpoint, written beside and renamed, and the averaged weights."""
        KEPT.mkdir(exist_ok=True)
        state = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save({**state, "step": self.step, "seconds": self.seconds}, self.checkpoint.with_suffix(".tmp"))
        os.replace(self.checkpoint.with_suffix(".tmp"), self.checkpoint)
        tensors = {key: value.half().contiguous() for key, value in self.average.state_dict().items()}
        save_file(tensors, self.checkpoint.with_suffix(".safetensors"), {"steps": str(self.step)})

    def _parts(self) -> dict:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer}


def loaded(weights: Path) -> SmallFlux:
    net = SmallFlux()
    net.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    return net


def train(options: argparse.Namespace) -> None:
    comfy.model_management.in_training = True  # the host's own kernels have no gradient
    torch.manual_seed(0)
    pictures = [photograph(name, options.root) for name in names("tuning", options.root)]
    by_kind = pool(pictures, load_vae().first_stage_model.eval(), options.pool, KEPT / "words.pt")
    training = Training(options)
    saved = time.monotonic()
    while training.done < 1:
        begin, rng = time.process_time(), np.random.default_rng([7, training.step])
        whole = rng.random() < options.whole + (0.3 if training.done > 0.7 else 0)
        number = options.batch if whole else options.batch * 3 // 2
        seen = windows(by_kind, WHOLE if whole else TWO_STREAMS, number, rng)
        training.descend(loss_of(training, seen, whole))
        training.seconds += time.process_time() - begin
        if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS or training.done == 1:
            training.save()
            saved = time.monotonic()


def loss_of(training: Training, seen: Windows, whole: bool) -> torch.Tensor:
    """Through the whole transformer at all levels of noise, or through the two streams near the level of the search."""
    options, generator = training.options, torch.Generator().manual_seed(training.step)
    number = len(seen.latents)
    level = torch.randn(number, generator=generator).sigmoid()  # Esser 2024, logit-normal
    if not whole:
        level = 0.35 + 0.3 * torch.rand(number, generator=generator)
    noise = torch.randn(seen.latents.shape, generator=generator)
    pooled = (torch.rand(number, generator=generator) < POOLED).float()
    x = torch.lerp(seen.latents, noise, level[:, None, None, None])
    state = training.net.two_streams(x, level, seen.prompts, pooled, seen.concepts)
    wrong = [wrong_words(*outputs, seen.concepts, seen.named, options.power) for outputs in state.outputs]
    loss = torch.stack(wrong).mean(0) * (1 - level)
    if whole:
        flow, told = training.net.one_stream(state, x.shape[-2:])
        true = squared(flow, noise - seen.latents)
        loss = loss + TELLING * (1 - level) * missed(training.net.head(told), seen.latents, seen.named)
        loss = loss + (true if options.free else FLOW * true + TAUGHT * squared(flow, before(training, x, level, seen)))
    return loss.mean()


@torch.no_grad()
def before(training: Training, x: torch.Tensor, level: torch.Tensor, seen: Windows) -> torch.Tensor:
    """The flow of the weights before, told the whole prompt."""
    net = training.before
    return net.one_stream(net.two_streams(x, level, seen.prompts, torch.ones_like(level), seen.concepts), x.shape[-2:])[
        0
    ]
