"""Whether an evaluation went through the whole network, and which node prevented it where it did not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from .hooks import add_wrapper


class Passage:
    """Counts how far one evaluation gets: asked for by the conditioning, into the network, through its text layers."""

    def __init__(self, options: dict):
        self.asked = self.reached = self.layers = 0
        self.function = options.get("model_function_wrapper")
        self.around = [each for group in _wrappers(options) for each in group]
        options["model_function_wrapper"] = self._ask
        transformer_options = options["transformer_options"]
        add_wrapper(transformer_options, "diffusion_model", self._reach)
        transformer_options.setdefault("patches", {}).setdefault("attn2_output_patch", []).append(self._count)

    def _ask(self, apply, arguments):
        self.asked += 1
        if self.function is not None:
            return self.function(apply, arguments)
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    def _reach(self, executor, *args, **kwargs):
        self.reached += 1
        return executor(*args, **kwargs)

    def _count(self, n: Tensor, options: dict) -> Tensor:
        self.layers += 1
        return n

    def check(self, layers: int | None) -> None:
        """ValueError that names what prevented the evaluation, and the way out.

        `layers`: how many attend to the text; None for transformers, some of which do not tell when they run.
        """
        if not self.asked:
            raise ValueError(
                "the conditioning is switched off at a noise level that EmerDiff needs; connect it without "
                "ConditioningSetTimestepRange"
            )
        if layers is None:
            return
        does = None if self.reached else "runs the UNet by itself"
        if self.reached and self.layers != layers * self.reached:
            does = "skips parts of the UNet, as caches do"
        if does:
            raise ValueError(f"another node {does}{self._suspects()}; connect the model from before it")

    def _suspects(self) -> str:
        """In brackets, the wrappers that other nodes have put around the network."""
        names = [name_of(each) for each in [self.function, *self.around] if each is not None]
        return f" ({', '.join(dict.fromkeys(names))})" if names else ""


def _wrappers(options: dict) -> Iterator[list[Callable]]:
    """Other packs' wrappers of the model's function and of the network, in the host's lists."""
    for kind in ("apply_model", "diffusion_model"):
        for group in options["transformer_options"].get("wrappers", {}).get(kind, {}).values():
            yield list(group)


def name_of(function: Callable) -> str:
    """What a wrapper is called and where it is from, as far as Python knows: "apply of ComfyUI-DeepCache"."""
    while isinstance(function, partial):
        function = function.func
    kind = function if hasattr(function, "__qualname__") else type(function)
    module = kind.__module__.replace("\\", "/").rpartition("custom_nodes/")[2].replace("_x_", ".")
    return f"{kind.__qualname__.replace('.<locals>', '')} of {module}"
