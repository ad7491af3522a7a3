"""Muon (Jordan 2024): momentum whose update is orthogonalised, for matrices; convolutions count as flattened ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised by five Newton-Schulz steps; `lr` is the size of a unit-scale update."""

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # PyTorch's own take a closure too
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonalised(update).view_as(parameter), alpha=-group["lr"] * scale)


def muon_and_adamw(
    named: Iterable[tuple[str, torch.nn.Parameter]], is_matrix: Callable[[str], bool], muon_rate: float, rate: float
) -> list[torch.optim.Optimizer]:
    """Muon for the weights (not vectors) whose name is_matrix says yes to, AdamW for the rest; rates are the peaks."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in named:
        (matrices if parameter.ndim >= 2 and is_matrix(name) else others).append(parameter)
    muon = Muon([{"params": matrices, "peak": muon_rate}], lr=0, weight_decay=0.01)
    adamw = torch.optim.AdamW([{"params": others, "peak": rate}], lr=0, betas=(0.9, 0.99), weight_decay=0.01)
    return [muon, adamw]


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values end within 0.7..1.2."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)
