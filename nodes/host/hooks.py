"""What EmerDiff does inside the network: reading queries and attention, sharing maps, adding the offset.

The host calls these hooks while the network runs. One object serves one evaluation and is installed in options of the
same lifetime. Hooks of other packs stay in these options. They see what they would see without ours, but row 0's
attention inputs where maps are held. `options` below are the host's extra_options; `emerdiff_ops` has the mathematics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from ...emerdiff_ops.attention import (
    add_offset,
    base_rows,
    mean_attention,
    root_mean_square,
    shared_attention,
    spread_rows,
)
from ...emerdiff_ops.text_scores import word_attention
from .places import Block, Layer, layer_of


class Captured(Exception):
    """Ends an evaluation once its features have been read, in the way that Cancel does."""


class QueryCapture:
    """Keeps the queries of one cross-attention layer, to_q(norm2(x)), [rows, h*w, heads * dim], and stops there."""

    def __init__(self, layer: Layer):
        self.layer = layer
        self.grid: tuple[int, int] | None = None
        self.features: Tensor | None = None

    def install(self, transformer_options) -> None:
        _replacements(transformer_options, "attn2")[self.layer] = self.attention

    def attention(self, query, key, value, options):
        height, width = options["activations_shape"][-2:]
        self.grid = height, width
        self.features = query.float()
        raise Captured


class AttentionOutput:
    """Keeps the first attention's output at the picture's tokens in a transformer's block, [rows, h*w, C]; stops there.

    `replaced` is the host's name of the block where others can replace it. Where they cannot, `before` attentions of
    other blocks come first. The picture's tokens end the sequence, padded to a multiple of `filled`; where that is
    None, they begin it.
    """

    def __init__(self, block: Block, replaced: tuple | None, before: int, grid: tuple[int, int], filled: int | None):
        self.block, self.replaced, self.grid, self.filled = block, replaced, grid, filled
        self.waiting = before if replaced is None else None  # attentions still to pass; None: until the block runs
        self.features: Tensor | None = None

    def install(self, transformer_options) -> None:
        if self.replaced:
            blocks = _replacements(transformer_options, "dit")
            blocks[self.replaced] = partial(self.in_block, blocks.get(self.replaced))
        _chain_attention(transformer_options, self.attention)

    def in_block(self, previous, arguments, original):
        self.waiting = 0
        if previous:
            previous(arguments, original)
        else:
            original["original_block"](arguments)
        raise Captured  # without features: another pack's block does not call the host's attention

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        if self.waiting != 0:
            self.waiting = self.waiting and self.waiting - 1
            return attend(query, key, value, heads, *args, **kwargs)
        # Some hosts tell which block runs: another one where a cache has skipped some.
        if kwargs["transformer_options"].get("block_index", self.block.number) == self.block.number:
            self.keep(lambda: attend(query, key, value, heads, *args, **kwargs), query, key, heads)
        raise Captured

    def keep(self, attend: Callable[[], Tensor], query, key, heads: int) -> None:
        output = attend()
        self.features = output[:, self._picture(output.shape[1])].float()

    def _picture(self, tokens: int) -> slice:
        """Where the picture's tokens lie in the sequence."""
        own = self.grid[0] * self.grid[1]
        begin = 0 if self.filled is None else tokens - -(-own // self.filled) * self.filled
        if not 0 <= begin <= tokens - own:
            raise ValueError(
                "another node changes how many tokens the picture has inside the transformer; connect the model from "
                "before it"
            )
        return slice(begin, begin + own)


class JointAttention(AttentionOutput):
    """Keeps the attention among the picture's tokens there, [1, N, N], instead of its output, and stops there.

    The text's tokens are left out before the softmax. `finer` tokens a side are merged into one.
    """

    def __init__(self, finer: int, *where):
        super().__init__(*where)
        self.finer = finer

    def keep(self, attend, query, key, heads: int) -> None:
        query, key = (_by_head(_tensor(each), heads) for each in (query, key))
        own = self._picture(query.shape[1])
        self.features = mean_attention(query[:, own], key[:, own], self.grid, self.finer)[None]


class SelfAttention:
    """Keeps the mean of some self-attentions of a UNet, all on one grid: [1, N, N]; stops at the last of them.

    `finer` tokens a side are merged into one. attend(query, key, value, options) is the host's attention, for layers
    that no other pack replaces.
    """

    def __init__(self, layers: list[Layer], finer: int, attend: Callable):
        self.layers, self.finer, self.attend = layers, finer, attend
        self.grid: tuple[int, int] | None = None
        self.maps: dict[Layer, Tensor] = {}

    @property
    def features(self) -> Tensor | None:
        """The mean [1, N, N]; None until all layers have run."""
        return torch.stack([*self.maps.values()]).mean(0, True) if len(self.maps) == len(self.layers) else None

    def install(self, transformer_options) -> None:
        replacements = _replacements(transformer_options, "attn1")
        for layer in self.layers:
            attend = _replacement_at(replacements, layer) or self.attend
            replacements[layer] = partial(self.attention, layer, attend)

    def attention(self, layer, attend, query, key, value, options):
        height, width = self.grid = tuple(options["activations_shape"][-2:])
        queries, keys = (_by_head(each, options["n_heads"]) for each in (query, key))
        self.maps[layer] = mean_attention(queries, keys, (height, width), self.finer)
        if layer == self.layers[-1]:
            raise Captured
        return attend(query, key, value, options)


class ProjectionInput:
    """Keeps the input of a transformer's projection, [rows, h*w, C], and stops there.

    For networks whose attention does not get the host's options, so that no hook of the host reaches it. PyTorch tells
    which module is called, while this one evaluation lasts. No module is changed.
    """

    def __init__(self, projection, grid: tuple[int, int]):
        self.projection, self.grid = projection, grid
        self.features: Tensor | None = None

    def install(self, transformer_options) -> None:
        add_wrapper(transformer_options, "apply_model", self.around)  # such networks call no wrappers of their own

    def around(self, executor, *args, **kwargs):
        handle = register_module_forward_pre_hook(self.called)
        try:
            return executor(*args, **kwargs)
        finally:
            handle.remove()

    def called(self, module, inputs) -> None:
        if module is self.projection:
            self.features = inputs[0].float()
            raise Captured


class WordAttention:
    """Keeps where the picture attends to groups of the text's tokens at some layers; changes nothing.

    words [groups, tokens], 1 where a token belongs to a group. maps: per layer [groups, rows, h*w] float32.
    attend(query, key, value, options) is the host's attention, for layers that no other pack replaces.
    """

    def __init__(self, layers: list[Layer], words: Tensor, attend: Callable):
        self.layers, self.words, self.attend = layers, words, attend
        self.maps: dict[Layer, Tensor] = {}

    def install(self, transformer_options) -> None:
        replacements = _replacements(transformer_options, "attn2")
        for layer in self.layers:
            attend = _replacement_at(replacements, layer) or self.attend
            replacements[layer] = partial(self.attention, layer, attend)

    def attention(self, layer, attend, query, key, value, options):
        self.maps[layer] = word_attention(query, key, options["n_heads"], self.words)
        return attend(query, key, value, options)


class Modulation:
    """Hooks of one UNet evaluation over rows that share row 0's attention maps, offset at one layer if asked.

    With offsets, all rows start equal, so everything before the offset layer runs on a single row. `rows` counts those
    of one conditioning; the host may stack several. `relative`: offsets are multiples of the layer's own output.
    """

    def __init__(self, layer: Layer, offsets: Tensor | None, inject: bool, rows: int, relative: bool = False):
        self.layer = layer
        self.offsets = offsets  # [rows, h*w]
        self.relative = relative
        self.inject = inject
        self.rows = rows
        self.running = rows  # 1 while all rows are still equal
        self.shared = False  # whether the next attention has one map for all rows
        self.foreign = True  # whether other packs change the inputs of self-attention
        self.replaced: dict = {}  # self-attentions of other packs, by layer

    def install(self, transformer_options) -> None:
        patches = transformer_options.setdefault("patches", {})
        self.foreign = bool(patches.get("attn1_patch"))
        self.replaced = _replacements(transformer_options, "attn1")
        # Our input hooks run first and our output hook runs last, so the hooks of others between them see one batch.
        if self.inject:
            patches.setdefault("attn1_patch", []).insert(0, self.self_attention_inputs)
            _chain_attention(transformer_options, self.attention)
        patches.setdefault("attn2_patch", []).insert(0, self.cross_attention_inputs)
        patches.setdefault("attn2_output_patch", []).append(self.cross_attention_output)
        if self.offsets is not None:
            patches.setdefault("output_block_patch", []).insert(0, self.skip_connection)
        add_wrapper(transformer_options, "diffusion_model", self.around)

    def around(self, executor, *inputs, **kwargs):
        """Runs the rows before the offset layer as one, unless another node holds something for every row."""
        x, _, _, _, control, options = inputs  # timesteps, context and y between
        groups = len(options["cond_or_uncond"])
        if x.shape[0] != groups * self.rows:
            raise ValueError(
                "another node splits the UNet's batch (a model function wrapper); connect the model from before it"
            )
        keeps_rows = control is not None or groups > 1 or "middle_patch" in options["patches"]  # ControlNet, GLIGEN
        if self.offsets is None or keeps_rows:
            return executor(*inputs, **kwargs)
        self.running = 1
        first = partial(_first_row, rows=x.shape[0])
        rest = {name: first(value) for name, value in kwargs.items()}
        return executor(*map(first, inputs[:4]), None, options, **rest)

    def self_attention_inputs(self, n, context, value, options):
        """Query and key of row 0, values of every row: the map is projected and computed once.

        Where another pack takes part, every row gets row 0's query and key instead, which gives the same maps.
        """
        groups = len(options["cond_or_uncond"])
        rows = n.shape[0] // groups
        query, key = base_rows(n, groups), base_rows(context, groups)
        self.shared = rows > 1 and not self.foreign and not _replacement_at(self.replaced, layer_of(options))
        if self.shared:
            return query, key, value
        return spread_rows(query, groups, rows), spread_rows(key, groups, rows), value

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        shared, self.shared = self.shared, False
        if not shared:
            return attend(query, key, value, heads, *args, **kwargs)
        query, key, value = map(_tensor, (query, key, value))
        return shared_attention(query, key, value, heads, precision=kwargs.get("attn_precision"))

    def cross_attention_inputs(self, n, context, value, options):
        """Keys and values come from the text alone, so with the map injected every row's output is row 0's."""
        groups = len(options["cond_or_uncond"])
        self.shared, self.running = False, n.shape[0] // groups
        if self.inject:
            return base_rows(n, groups), base_rows(context, groups), base_rows(value, groups)
        return n, spread_rows(context, groups, self.running), spread_rows(value, groups, self.running)

    def cross_attention_output(self, n, options):
        groups = len(options["cond_or_uncond"])
        if self.offsets is None or layer_of(options) != self.layer:
            return spread_rows(n, groups, self.running)
        if n.shape[1] != self.offsets.shape[1]:
            raise ValueError(
                f"another node changes the size of the picture inside the UNet at {self.layer}; connect the model from "
                "before it, or choose another modulation_layer"
            )
        self.running = self.rows
        offsets = root_mean_square(n) * self.offsets if self.relative else self.offsets
        return add_offset(spread_rows(n, groups, self.rows), offsets)

    def skip_connection(self, h, skip, options):
        """Spreads the skips of blocks that ran on one row over the rows that run now."""
        return h, spread_rows(skip, 1, h.shape[0]) if skip.shape[0] == 1 else skip


def _first_row(value, rows: int):
    return value[:1] if isinstance(value, Tensor) and value.shape[:1] == (rows,) else value


def _replacements(transformer_options, attention: str) -> dict:
    """The replacements of "attn1", "attn2" or "dit", by layer or by block."""
    return transformer_options.setdefault("patches_replace", {}).setdefault(attention, {})


def _replacement_at(replacements, layer: Layer) -> Callable | None:
    """The replacement that the host would find: by the layer, else by its block."""
    return replacements.get(layer) or replacements.get((layer.block, layer.number))


def add_wrapper(transformer_options, kind: str, wrapper: Callable) -> None:
    """Adds `wrapper(executor, x, timesteps, ...)` around the model or its network, as the host's own function would."""
    wrappers = transformer_options.setdefault("wrappers", {}).setdefault(kind, {})
    wrappers.setdefault("emerdiff", []).append(wrapper)


def _chain_attention(transformer_options, hook: Callable) -> None:
    """Puts `hook(attend, query, key, value, heads, ...)` before whatever attention would have run.

    Hosts after 0.30 pass queries, keys and values in containers, so that a backend that reduces their precision can
    free each as soon as it has read it. They do so only for an override with a `container_function`, which they call
    in its place and without the host's function. Ours has one where the previous override has one.
    """
    previous = transformer_options.get("optimized_attention_override")

    def override(function, query, key, value, heads, *args, **kwargs):
        attend = partial(previous, function) if previous else function
        return hook(attend, query, key, value, heads, *args, **kwargs)

    if hasattr(previous, "container_function"):
        vars(override)["container_function"] = partial(hook, previous.container_function)
    transformer_options["optimized_attention_override"] = override


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """Queries or keys of row 0, [heads, n, d], from [rows, n, heads * d] or some networks' [rows, heads, n, d]."""
    own = rows[0] if rows.ndim == 4 else rows[0].unflatten(-1, (heads, -1)).transpose(0, 1)
    return own.repeat_interleave(heads // len(own), 0)  # where several heads share a key


def _tensor(value) -> Tensor:
    """The tensor, taken out of its container where the host uses one."""
    return value if isinstance(value, Tensor) else value.take()
