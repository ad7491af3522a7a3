"""ConceptAttention written down plainly, on the host's modules, in the order of its equations; no hook of the pack.

The host's own sampler runs the model; what goes into each block of two streams is caught at its door. From there on:
    q, k, v of picture x, prompt t and concepts c by their streams
    o_x = softmax(q_x [k_t; k_x]^T / sqrt d) [v_t; v_x],   o_c = softmax(q_c [k_c; k_x]^T / sqrt d) [v_c; v_x]
    phi = o_c o_x^T,   and c goes on through the text's stream with o_c.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from direct_capture import evaluate
from torch import Tensor


class Entered(NamedTuple):
    """What goes into a block: the picture's tokens, the prompt's, the modulation's vector, places."""

    img: Tensor
    txt: Tensor
    vec: object
    pe: Tensor | None = None


class Form(NamedTuple):
    """How blocks of a kind are made."""

    stack: str
    entered: Callable[[tuple, dict], Entered]
    heads: Callable  # (block, "img" or "txt", tokens, vec) -> q, k, v [B, H, L, D]
    after: Callable  # (block, concepts, their o, vec) -> concepts


def plain_scores(form: Form, model, conditioning, x: tuple, concepts: Tensor, place: int) -> list[Tensor]:
    """phi of every block, [n, tokens]; x: latents, noise and its level; concepts [1, n, C] as the blocks take them."""
    blocks, scores = getattr(model.model.diffusion_model, form.stack), []
    for block, given in zip(blocks, entries(form, blocks, model, conditioning, x), strict=True):
        q_x, k_x, v_x = form.heads(block, "img", given.img, given.vec)
        q_t, k_t, v_t = form.heads(block, "txt", given.txt, given.vec)
        q_c, k_c, v_c = form.heads(block, "txt", concepts, given.vec)
        if given.pe is not None:
            prompt, own = given.pe[:, :, : q_t.shape[2]], given.pe[:, :, q_t.shape[2] :]
            (q_x, k_x), k_t = (turned(each, own) for each in (q_x, k_x)), turned(k_t, prompt)
            q_c, k_c = (turned(each, given.pe[:, :, place : place + 1]) for each in (q_c, k_c))
        o_x = attended(q_x, torch.cat([k_t, k_x], 2), torch.cat([v_t, v_x], 2))
        o_c = attended(q_c, torch.cat([k_c, k_x], 2), torch.cat([v_c, v_x], 2))
        scores.append(o_c[0] @ o_x[0].T)
        concepts = form.after(block, concepts, o_c, given.vec)
    return scores


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def turned(x: Tensor, pe: Tensor) -> Tensor:
    """Rotary places: pe [1, 1, L, D / 2, 2, 2] times pairs of x [B, H, L, D]."""
    pairs = x.unflatten(-1, (-1, 1, 2))
    return (pe[..., 0] * pairs[..., 0] + pe[..., 1] * pairs[..., 1]).flatten(-2)


def entries(form: Form, blocks, model, conditioning, x: tuple) -> list[Entered]:
    found: list[Entered] = []

    def enter(block, args, kwargs):
        given = form.entered(args, kwargs)
        found.append(given._replace(img=given.img.clone(), txt=given.txt.clone()))  # blocks write into them

    handles = [block.register_forward_pre_hook(enter, with_kwargs=True) for block in blocks]
    try:
        evaluate(model, conditioning, *x)
    finally:
        for handle in handles:
            handle.remove()
    return found


# --- Flux.1, Flux.2, Chroma, LongCat-Image, Hunyuan Image ---


def flux_mods(block, stream: str, vec):
    if not block.modulation:
        return vec[0 if stream == "img" else 1]
    return (block.img_mod if stream == "img" else block.txt_mod)(vec)


def flux_heads(block, stream: str, tokens: Tensor, vec):
    mod, _ = flux_mods(block, stream, vec)
    norm, attention = (getattr(block, f"{stream}_{part}") for part in ("norm1", "attn"))
    qkv = attention.qkv((1 + mod.scale) * norm(tokens) + mod.shift).unflatten(-1, (3, block.num_heads, -1))
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    return *attention.norm(q, k, v), v


def flux_after(block, concepts: Tensor, output: Tensor, vec):
    first, second = flux_mods(block, "txt", vec)
    concepts = concepts + first.gate * block.txt_attn.proj(output)
    return concepts + second.gate * block.txt_mlp((1 + second.scale) * block.txt_norm2(concepts) + second.shift)


# --- SD3 ---


def sd3_mods(block, vec) -> list[Tensor]:
    linear = block.adaLN_modulation
    return [each[:, None] for each in linear(vec).chunk(linear[1].out_features // vec.shape[-1], 1)]


def sd3_heads(block, stream: str, tokens: Tensor, vec):
    own = block.x_block if stream == "img" else block.context_block
    shift, scale, *_ = sd3_mods(own, vec)
    qkv = own.attn.qkv(own.norm1(tokens) * (1 + scale) + shift)
    q, k, v = qkv.unflatten(-1, (3, own.attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return own.attn.ln_q(q), own.attn.ln_k(k), v


def sd3_after(block, concepts: Tensor, output: Tensor, vec):
    own = block.context_block
    if own.pre_only:
        return concepts  # the last one
    _, _, gate, shift, scale, gate_mlp = sd3_mods(own, vec)
    concepts = concepts + gate * own.attn.proj(output)
    return concepts + gate_mlp * own.mlp(own.norm2(concepts) * (1 + scale) + shift)


# --- Qwen-Image ---


def qwen_mods(block, stream: str, vec) -> list[Tensor]:
    return [each[:, None] for each in (block.img_mod if stream == "img" else block.txt_mod)(vec).chunk(6, -1)]


def qwen_heads(block, stream: str, tokens: Tensor, vec):
    shift, scale, *_ = qwen_mods(block, stream, vec)
    attention, text = block.attn, stream == "txt"
    tokens = (block.txt_norm1 if text else block.img_norm1)(tokens) * (1 + scale) + shift
    names = ("add_q_proj", "add_k_proj", "add_v_proj") if text else ("to_q", "to_k", "to_v")
    q, k, v = (getattr(attention, name)(tokens).unflatten(-1, (attention.heads, -1)).transpose(1, 2) for name in names)
    norms = (attention.norm_added_q, attention.norm_added_k) if text else (attention.norm_q, attention.norm_k)
    return norms[0](q), norms[1](k), v


def qwen_after(block, concepts: Tensor, output: Tensor, vec):
    _, _, gate, shift, scale, gate_mlp = qwen_mods(block, "txt", vec)
    concepts = concepts + gate * block.attn.to_add_out(output)
    return concepts + gate_mlp * block.txt_mlp(block.txt_norm2(concepts) * (1 + scale) + shift)


# --- AuraFlow ---


def aura_mods(block, stream: str, vec) -> list[Tensor]:
    return [each[:, None] for each in (block.modX if stream == "img" else block.modC)(vec).chunk(6, 1)]


def aura_heads(block, stream: str, tokens: Tensor, vec):
    shift, scale, *_ = aura_mods(block, stream, vec)
    attention, number = block.attn, 2 if stream == "img" else 1
    tokens = (block.normX1 if stream == "img" else block.normC1)(tokens) * (1 + scale) + shift
    q, k, v = (
        getattr(attention, f"w{number}{name}")(tokens).unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)
        for name in "qkv"
    )
    return getattr(attention, f"q_norm{number}")(q), getattr(attention, f"k_norm{number}")(k), v


def aura_after(block, concepts: Tensor, output: Tensor, vec):
    _, _, gate, shift, scale, gate_mlp = aura_mods(block, "txt", vec)
    inner = block.normC2(concepts + gate * block.attn.w1o(output)) * (1 + scale) + shift
    return concepts + gate_mlp * block.mlpC(inner)


FLUX = Form(
    "double_blocks",
    lambda args, given: Entered(given["img"], given["txt"], given["vec"], given["pe"]),
    flux_heads,
    flux_after,
)
FORMS = {  # by the host's class of the model
    **dict.fromkeys(("Flux", "Flux2", "Chroma", "LongCatImage", "HunyuanImage21"), FLUX),
    "SD3": Form("joint_blocks", lambda args, given: Entered(args[1], args[0], given["c"]), sd3_heads, sd3_after),
    "QwenImage": Form(
        "transformer_blocks",
        lambda args, given: Entered(
            given["hidden_states"], given["encoder_hidden_states"], given["temb"], given["image_rotary_emb"]
        ),
        qwen_heads,
        qwen_after,
    ),
    "AuraFlow": Form("double_layers", lambda args, given: Entered(args[1], args[0], args[2]), aura_heads, aura_after),
}
