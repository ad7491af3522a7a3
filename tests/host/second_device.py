"""A second device without hardware: tensors that say they lie there, computed on the processor, every move seen.

As on a GPU an operation on tensors of both devices is an error, single numbers aside. Used as a context: what makes
tensors on the device, and what moves to and from it, is seen only inside.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

FAR = torch.device("meta")  # the one device beside the processor that every PyTorch knows
FEW = 64  # numbers; reading so many is no move of work


class Move(NamedTuple):
    """A tensor brought from the device to the processor, or the other way."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    leaves: bool  # the device


class FarTensor(torch.Tensor):
    """A tensor of the device."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        far = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=FAR
        )
        far.inner = inner
        return far

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {}, [])

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __getitem__(self, key):
        return super().__getitem__(
            torch.tensor(key, dtype=torch.long) if isinstance(key, list) else key
        )  # no list arrives

    def tolist(self):
        return self.cpu().tolist()  # PyTorch's own refuses subclasses


class SecondDevice(TorchDispatchMode):
    """While it is entered, `moves` keeps all that changes devices, `works` the names of operations there."""

    def __init__(self):
        super().__init__()
        self.moves: list[Move] = []
        self.works: set[str] = set()
        self.largest = 0  # numbers in a tensor that an operation gave

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # in inference mode they come whole
                return func.decompose(*args, **(kwargs or {}))
        if any(isinstance(each, FarTensor) for each in tree_flatten((args, kwargs))[0]):
            self.works.add(func.overloadpacket.__name__)
        result = computed(func, args, kwargs or {}, self.moves)
        made = [each.numel() for each in tree_flatten(result)[0] if isinstance(each, torch.Tensor)]
        self.largest = max(self.largest, *made, 0)
        return result

    def left(self, kind: torch.dtype | None = None) -> list[Move]:
        """What more than a FEW numbers of left the device."""
        large = [each for each in self.moves if each.leaves and torch.Size(each.shape).numel() > FEW]
        return [each for each in large if kind in (None, each.dtype)]


def computed(func, args, kwargs, moves: list[Move]):
    """What an operation gives, on the device where its tensors or its keyword say."""
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    far = any(isinstance(each, FarTensor) for each in given)
    name = func.overloadpacket.__name__
    if far and name not in ("_to_copy", "copy_", "index", "index_put", "index_put_"):
        near = [each for each in given if not isinstance(each, FarTensor) and each.ndim]
        assert not near, f"{name} is given tensors of two devices"
    wanted = kwargs.get("device")
    there = torch.device(wanted) == FAR if wanted is not None else far
    plain_args, plain_kwargs = tree_map(inner_of, (args, kwargs))
    if "device" in plain_kwargs and there:
        plain_kwargs = {**plain_kwargs, "device": torch.device("cpu")}
    result = func(*plain_args, **plain_kwargs)
    if name == "_to_copy" and there != far:
        moves.append(Move(tuple(given[0].shape), given[0].dtype, leaves=far))
    if name.endswith("_") and far and isinstance(args[0], FarTensor):
        return args[0]
    return (
        tree_map(lambda each: FarTensor(each) if isinstance(each, torch.Tensor) else each, result) if there else result
    )


def inner_of(value):
    return value.inner if isinstance(value, FarTensor) else value
