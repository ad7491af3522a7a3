"""The small Flux run plainly, with concepts beside the prompt: gradients do not survive the host's in-place sums."""

from typing import NamedTuple

import comfy.ops
import torch
from comfy.ldm.flux.layers import timestep_embedding
from comfy.ldm.flux.model import Flux
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, scaled_dot_product_attention

from small_model.autoencoder import CHANNELS
from small_model.small_flux import CONFIG, CONTEXT_WIDTH, PATCH
from small_model.words import SMALL_SD

TOLD_BY = 2  # the block of one stream whose output tells what each token shows


class State(NamedTuple):
    """What the blocks of two streams leave: picture and prompt, modulation, places, (o_c, o_x) of each block."""

    img: Tensor
    txt: Tensor
    vec: Tensor
    places: Tensor
    outputs: list[tuple[Tensor, Tensor]]


class SmallFlux(torch.nn.Module):
    """The transformer, the table of words, and the head that reads a block; names are those in the weights."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Parameter(torch.empty(len(SMALL_SD), CONTEXT_WIDTH))
        self.unet = Flux(**CONFIG, final_layer=True, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
        self.head = torch.nn.Linear(self.unet.hidden_size, CHANNELS * PATCH**2 + len(SMALL_SD))

    def two_streams(self, x: Tensor, level: Tensor, tokens: Tensor, pooled: Tensor, concepts: Tensor) -> State:
        """x [N, c, h, w], level [N], tokens [N, length], pooled [N] 0 where no pooled text is told, concepts [N, n]."""
        net, words = self.unet, self.words[tokens]
        img = net.img_in(pixel_unshuffle(x, PATCH).flatten(2).movedim(1, 2))
        vec = net.time_in(timestep_embedding(level, 256)) + net.vector_in(words.mean(1) * pooled[:, None])
        txt, rows = net.txt_in(words), net.txt_in(self.words[concepts])
        places, outputs = self.places(x.shape[2] // PATCH, x.shape[3] // PATCH), []
        for block in net.double_blocks:
            img, txt, rows, own = self._two_streams_once(block, (img, txt, rows), vec, places)
            outputs.append(own)
        return State(img, txt, vec, places, outputs)

    def _two_streams_once(self, block, streams: tuple[Tensor, Tensor, Tensor], vec: Tensor, places: Tensor):
        img, txt, rows = streams
        text, picture = places[:, :, :1], places[:, :, 1:]
        of_img, of_txt = block.img_mod(vec), block.txt_mod(vec)
        q_x, k_x, v_x = heads(block.img_attn, block.img_norm1, img, of_img[0], picture)
        q_t, k_t, v_t = heads(block.txt_attn, block.txt_norm1, txt, of_txt[0], text)
        q_c, k_c, v_c = heads(block.txt_attn, block.txt_norm1, rows, of_txt[0], text)
        both = attended(*(torch.cat(pair, 2) for pair in ((q_t, q_x), (k_t, k_x), (v_t, v_x))))
        o_t, o_x = both[:, : txt.shape[1]], both[:, txt.shape[1] :]
        o_c = attended(q_c, torch.cat([k_c, k_x], 2), torch.cat([v_c, v_x], 2))
        of_text = block.txt_attn, block.txt_norm2, block.txt_mlp, *of_txt
        img = onwards(img, o_x, block.img_attn, block.img_norm2, block.img_mlp, *of_img)
        return img, onwards(txt, o_t, *of_text), onwards(rows, o_c, *of_text), (o_c, o_x)

    def one_stream(self, state: State, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The flow for a latent of a size, and what the block that tells gives the picture."""
        text = state.txt.shape[1]
        places = torch.cat([state.places[:, :, :1].expand(-1, -1, text, -1, -1, -1), state.places[:, :, 1:]], 2)
        x = torch.cat([state.txt, state.img], 1)
        for number, block in enumerate(self.unet.single_blocks):
            mod, _ = block.modulation(state.vec)
            entered = block.linear1((1 + mod.scale) * block.pre_norm(x) + mod.shift)
            qkv, inner = entered.split([3 * block.hidden_size, block.mlp_hidden_dim_first], -1)
            q, k, v = qkv.unflatten(-1, (3, self.unet.num_heads, -1)).permute(2, 0, 3, 1, 4)
            q, k = (turned(each, places) for each in block.norm(q, k, v))
            x = x + mod.gate * block.linear2(torch.cat([attended(q, k, v), block.mlp_act(inner)], 2))
            if number == TOLD_BY:
                told = x[:, text:]
        grid = size[0] // PATCH, size[1] // PATCH
        flow = self.unet.final_layer(x[:, text:], state.vec).movedim(1, 2).unflatten(2, grid)
        return pixel_shuffle(flow, PATCH), told

    def places(self, h: int, w: int) -> Tensor:
        """Rotary places, the text's first: [1, 1, 1 + h*w, D / 2, 2, 2]."""
        ids = torch.zeros(h, w, 3)
        ids[..., 1] += torch.arange(h)[:, None]
        ids[..., 2] += torch.arange(w)
        return self.unet.pe_embedder(torch.cat([torch.zeros(1, 3), ids.flatten(0, 1)])[None])


def heads(attention, norm, tokens: Tensor, mod, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    qkv = attention.qkv((1 + mod.scale) * norm(tokens) + mod.shift)
    q, k, v = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    q, k = attention.norm(q, k, v)
    return turned(q, places), turned(k, places), v


def turned(x: Tensor, places: Tensor) -> Tensor:
    pairs = x.unflatten(-1, (-1, 1, 2))
    return (places[..., 0] * pairs[..., 0] + places[..., 1] * pairs[..., 1]).flatten(-2)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def onwards(rows: Tensor, output: Tensor, attention, norm, mlp, first, second) -> Tensor:
    rows = rows + first.gate * attention.proj(output)
    return rows + second.gate * mlp((1 + second.scale) * norm(rows) + second.shift)
