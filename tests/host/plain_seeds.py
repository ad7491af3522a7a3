"""FreeFuse's maps written down plainly, on the host's modules, in the order of its equations; no hook of the pack.

The host's own sampler runs the model; what goes into the attention of one block is caught at its door. From there on,
one head and one token of the text after another:
    s_c(x) = mean of softmax over x of q_x . k_token / 1000
    seeds of c: the tenth of x with the most n s_c - sum of the others' s;  of the background: the most s
    m_c(x) = softmax over x of the mean over seeds of <o_seed, o_x> / 4000
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from direct_capture import evaluate
from plain_concepts import turned
from torch import Tensor


class Entered(NamedTuple):
    """Queries, keys and values [1, H, L, D] of text and picture, with their places."""

    q: Tensor
    k: Tensor
    v: Tensor


class Plain(NamedTuple):
    """What the equations give: s [n + 1, N], m [n + 1, N] and o [N, C]."""

    scores: Tensor
    maps: Tensor
    output: Tensor


def plain_seeds(model, conditioning, x: tuple, number: int, groups: list[list[int]], tokens: int) -> Plain:
    """Of block `number`; groups: the text's rows of n phrases and of the background; tokens: of the picture."""
    network = model.model.diffusion_model
    module, form, first = FORMS[type(network).__name__]
    q, k, v = entered(module(network, number), form, model, conditioning, x)
    multiple = getattr(network, "pad_tokens_multiple", None) or 1
    begin = 0 if first else q.shape[2] - -(-tokens // multiple) * multiple
    own = slice(begin, begin + tokens)
    groups = [[row + tokens if first else row for row in group] for group in groups]
    q, k, v = (each[0].double() for each in (q, k, v))
    output = torch.cat([(a @ b.T / a.shape[-1] ** 0.5).softmax(-1) @ c for a, b, c in zip(q, k, v)], -1)[own]
    scores = torch.stack([plain_score(q[:, own], k[:, group]) for group in groups])
    count = len(groups) - 1
    rivals = [count * each - sum(scores[other] for other in range(count) if other != n)
              for n, each in enumerate(scores[:count])]  # fmt: skip
    maps = torch.stack([plain_map(each, output) for each in [*rivals, scores[count]]])
    return Plain(scores, maps, output)


def plain_score(q: Tensor, k: Tensor) -> Tensor:
    every = [(queries @ key / 1000).softmax(0) for queries, keys in zip(q, k) for key in keys]
    return torch.stack(every).mean(0)


def plain_map(scores: Tensor, output: Tensor) -> Tensor:
    seeds = scores.argsort(descending=True)[: max(1, len(scores) // 10)]
    alike = torch.stack([output @ output[seed] for seed in seeds]).mean(0)
    return (alike / 4000).softmax(0)


def plain_shares(maps: Tensor) -> Tensor:
    """m_c over the sum of all, the last one's being .95 of what it was."""
    weighed = torch.cat([maps[:-1], 0.95 * maps[-1:]])
    return (weighed / weighed.sum(0))[:-1]


def entered(module, form: Callable[..., Entered], model, conditioning, x: tuple) -> Entered:
    found: list[Entered] = []
    enter = lambda module, args, kwargs: found.append(form(module, *args, **kwargs))  # noqa: E731
    handle = module.register_forward_pre_hook(enter, with_kwargs=True)
    try:
        evaluate(model, conditioning, *x)
    finally:
        handle.remove()
    return found[0]


def of_lumina(own, x, mask, places, transformer_options=None) -> Entered:
    sizes = [own.n_local_heads, own.n_local_kv_heads, own.n_local_kv_heads]
    parts = own.qkv(x).split([each * own.head_dim for each in sizes], -1)
    q, k, v = (part.unflatten(-1, (-1, own.head_dim)).transpose(1, 2) for part in parts)
    return _placed(own.q_norm(q), own.k_norm(k), v, places.movedim(1, 2))


def of_krea(own, x, places, mask=None, transformer_options=None) -> Entered:
    q, k, v = (part(x).unflatten(-1, (-1, own.headdim)).transpose(1, 2) for part in (own.wq, own.wk, own.wv))
    return _placed(own.qknorm.qnorm(q), own.qknorm.knorm(k), v, places)


def of_hidream(own, x, mask=None, text=None, rope=None, transformer_options=None) -> Entered:
    layers = (own.to_q, own.q_rms_norm), (own.to_k, own.k_rms_norm), (own.to_v, lambda value: value)
    q, k, v = (norm(layer(x)).unflatten(-1, (own.heads, -1)).transpose(1, 2) for layer, norm in layers)
    return _placed(q, k, v, rope.movedim(1, 2))


def _placed(q: Tensor, k: Tensor, v: Tensor, places: Tensor) -> Entered:
    times = q.shape[1] // k.shape[1]
    k, v = (each.repeat_interleave(times, 1) for each in (k, v))
    return Entered(turned(q, places), turned(k, places), v)


FORMS = {  # by the host's class of the network: a block's attention, what goes into it, whether the picture comes first
    "NextDiT": (lambda net, number: net.layers[number].attention, of_lumina, False),
    "SingleStreamDiT": (lambda net, number: net.blocks[number].attn, of_krea, False),
    "HiDreamImageTransformer2DModel": (
        lambda net, number: net.single_stream_blocks[number].block.attn1, of_hidream, True),
}  # fmt: skip
