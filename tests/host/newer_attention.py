"""A stand-in for the attention of ComfyUI after 0.30, which cannot be fetched here.

From its source (comfy/ldm/modules/attention.py at 05080f6): cross-attention puts queries, keys and values into
containers that are emptied by whoever takes the tensor. An override with a `container_function` has that called
instead, with the containers and without the backend; any other override gets tensors. Only without an override counts
the backend that a checkpoint prefers.
"""

from functools import partialmethod

import comfy.ldm.modules.attention as host


class Container:
    """A tensor that can be taken once."""

    def __init__(self, tensor):
        self.tensor = tensor

    def take(self):
        assert self.tensor is not None, "taken twice"
        tensor, self.tensor = self.tensor, None
        return tensor


class Backend:
    """An override as the host's own node installs it: it has a container_function, and counts how often it is used."""

    def __init__(self, attend):
        self.attend, self.tensors, self.containers = attend, 0, 0

    def __call__(self, function, query, key, value, heads, *args, **kwargs):
        self.tensors += 1
        return self.attend(query, key, value, heads, *args, **kwargs)

    def container_function(self, query, key, value, heads, *args, **kwargs):
        self.containers += 1
        return self.attend(query.take(), key.take(), value.take(), heads, *args, **kwargs)


def plain(query, key, value, heads, *args, **kwargs):
    """The host's backend, whatever overrides there are."""
    return host.optimized_attention(query, key, value, heads, *args, **{"_inside_attn_wrapper": True, **kwargs})


def int8(query, key, value, heads, *args, **kwargs):
    """With queries and keys of eight bits, each token scaled by its largest value."""
    return plain(rounded(query), rounded(key), value, heads, *args, **kwargs)


def rounded(tensor):
    scale = tensor.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    return (tensor / scale).round() * scale


def install(monkeypatch, backend=plain, preferred=None) -> None:
    """Have the host's cross-attention work so, with this default backend and the one that a checkpoint prefers."""
    monkeypatch.setattr(host.CrossAttention, "forward", partialmethod(forward, backend, preferred))


def forward(layer, backend, preferred, x, context=None, value=None, mask=None, transformer_options=None):
    context = x if context is None else context
    inputs = layer.to_q(x), layer.to_k(context), layer.to_v(context if value is None else value)
    containers = map(Container, inputs)
    options = {"attn_precision": layer.attn_precision, "transformer_options": transformer_options}
    return layer.to_out(attention(backend, preferred, *containers, layer.heads, **options))


def attention(backend, preferred, query, key, value, heads, **options):
    override = (options["transformer_options"] or {}).get("optimized_attention_override")
    if hasattr(override, "container_function"):
        return override.container_function(query, key, value, heads, **options)
    tensors = query.take(), key.take(), value.take()
    if override is not None:
        return override(backend, *tensors, heads, **options)
    return (preferred or backend)(*tensors, heads, **options)
