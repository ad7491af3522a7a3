"""The diffusion transformers that features are read from: a row for each family, with its blocks and token layout.

Features are the attention output of a block at the picture's tokens, before the output projection: [rows, h*w, C], a
token for every `patch` x `patch` cells of the latent. Where nothing is known of a family, the block lies at the same
share of its depth as in the others. `Unasked` names the evidence (docs/compatibility.md has the sources). ComfyUI's
classes are matched by name, because older versions lack some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from comfy.model_sampling import CONST, COSMOS_RFLOW, EPS

from .hooks import AttentionOutput, JointAttention, ProjectionInput
from .places import Block
from .unet import POOLED, network_of

# The host's names for other pictures in a conditioning, and the nodes that put them there.
REFERENCES = {"reference_latents": "ReferenceLatent"}


class Unasked(NamedTuple):
    """Which block is read by default, and on what evidence: published, found by eye, or a guess."""

    share: float = 0.35  # of the depth, all kinds of blocks counted
    source: str = "a guess, between Flux.1 and SD3"
    seen: Mapping[
        tuple[int, ...], Block
    ] = {}  # by the number of blocks of each kind: what others chose after looking at all

    def block_of(self, counts: tuple[int, ...], blocks: list[Block]) -> Block:
        """The block to read in a network with `counts` blocks of each kind; `blocks` are in running order."""
        return self.seen.get(counts) or blocks[int(self.share * len(blocks))]

    def evidence(self, counts: tuple[int, ...]) -> str:
        """The evidence for that block, in words."""
        return "found by eye (FreeFuse)" if counts in self.seen else self.source


class Stack(NamedTuple):
    """Blocks of one kind, whose first attention is read."""

    kind: str
    attribute: str  # where the network keeps them
    replaced: str = ""  # the host's name of them where other packs can replace them; if empty, attentions are counted
    attentions: int = 1  # in each block


class Family(NamedTuple):
    """How a family's network is built; functions take the network."""

    name: str
    network: str  # class of its network
    stacks: tuple[Stack, ...]  # in running order
    text_width: Callable[[Any], int]  # the width of a text token in its input
    needs: dict[str, str] = {}  # what the conditioning must carry beside the text, by the host's name, and words for it
    unasked: Unasked = Unasked()
    before: Callable[[Any], int] = lambda network: 0  # attentions before the first block
    patch: str = "patch_size"  # the network's attribute for how many latent cells a side a token has
    picture_first: bool = False  # whether the picture's tokens begin the sequence; else they end it
    pixels: int = 1024  # on the shorter side of the pictures it was trained on
    projection: Callable[[Any], Any] | None = None  # of a block, where no attention gets the host's options
    least: int = 0  # cells of the latent, mean of both sides, below which the host divides by zero
    others: dict[str, str] = REFERENCES  # how other pictures become tokens beside this one's
    edits: bool = False  # whether it edits with other pictures beside, and also knows pictures without any


DOUBLE, SINGLE = Stack("double", "double_blocks", "double_block"), Stack("single", "single_blocks", "single_block")

FLUX = Family(
    "Flux.1",
    "Flux",
    (DOUBLE, SINGLE),
    lambda net: net.txt_in.in_features,
    needs=POOLED,
    unasked=Unasked(0.3, "published (ConceptAttention: double 15 to 18)"),
    edits=True,  # Kontext
)
LIKE_FLUX = FLUX._replace(needs={}, unasked=Unasked(0.3, "a guess, Flux.1's share of the depth"))
KLEIN: Mapping[tuple[int, ...], Block] = {(5, 20): Block("single", 6), (8, 24): Block("single", 3)}  # 4B and 9B
COSMOS = Family(
    "Cosmos Predict2",
    "MiniTrainDIT",
    (Stack("block", "blocks", attentions=2),),
    lambda net: net.blocks[0].cross_attn.context_dim,
    patch="patch_spatial",
)

FAMILIES = {  # by the host's name of the model's class
    "SD3": Family(
        "SD3, SD3.5",
        "OpenAISignatureMMDITWrapper",
        (Stack("block", "joint_blocks", "double_block"),),
        lambda net: net.context_embedder.in_features,
        needs=POOLED,
        unasked=Unasked(0.4, "published (Seg4Diff: block 9 of 24)"),
    ),
    "Flux": FLUX,
    "Flux2": LIKE_FLUX._replace(name="Flux.2", unasked=LIKE_FLUX.unasked._replace(seen=KLEIN)),
    "LongCatImage": LIKE_FLUX._replace(name="LongCat-Image"),
    "Chroma": LIKE_FLUX._replace(name="Chroma", network="Chroma", edits=False),
    "HunyuanImage21": Family(
        "Hunyuan Image 2.1",
        "HunyuanVideo",
        (DOUBLE, SINGLE),
        lambda net: net.txt_in.input_embedder.in_features,
        pixels=2048,
    ),
    "QwenImage": Family(
        "Qwen-Image",
        "QwenImageTransformer2DModel",
        (Stack("block", "transformer_blocks", "double_block"),),
        lambda net: net.txt_in.in_features,
        edits=True,
    ),
    "Lumina2": Family(
        "Lumina 2, Z-Image",
        "NextDiT",
        (Stack("block", "layers"),),
        lambda net: net.cap_embedder[1].in_features,
        unasked=Unasked(seen={(30,): Block("block", 18)}),  # Z-Image; Lumina 2 has 26
        before=lambda net: len(net.context_refiner) + len(net.noise_refiner),
    ),
    "Krea2": Family(
        "Krea 2",
        "SingleStreamDiT",
        (Stack("block", "blocks"),),
        lambda net: net.txtlayers * net.txtdim,
        before=lambda net: len(net.txtfusion.layerwise_blocks) + len(net.txtfusion.refiner_blocks),
        patch="patch",
    ),
    "AuraFlow": Family(
        "AuraFlow",
        "MMDiT",
        (DOUBLE._replace(attribute="double_layers"), SINGLE._replace(attribute="single_layers")),
        lambda net: net.cond_seq_linear.in_features,
    ),
    "HiDream": Family(
        "HiDream-I1",
        "HiDreamImageTransformer2DModel",
        (Stack("double", "double_stream_blocks"), Stack("single", "single_stream_blocks")),
        lambda net: net.caption_projection[-1].linear.in_features,
        needs={**POOLED, "conditioning_llama3": "text of Llama 3"},
        others={**REFERENCES, "concat_latent_image": "InstructPixToPixConditioning"},  # E1's
        picture_first=True,
    ),
    "CosmosPredict2": COSMOS,
    "Anima": COSMOS._replace(name="Anima", network="Anima"),
    "PixArt": Family(
        "PixArt",
        "PixArtMS",
        (Stack("block", "blocks"),),
        lambda net: net.y_embedder.y_proj.fc1.in_features,
        projection=lambda block: block.attn.proj,
        least=33,
    ),
    "HunyuanDiT": Family(
        "Hunyuan-DiT",
        "HunYuanDiT",
        (Stack("block", "blocks"),),
        lambda net: net.text_states_dim,
        needs={
            "attention_mask": "mask of its words",
            "conditioning_mt5xl": "text of mT5",
            "attention_mask_mt5xl": "mask of mT5's words",
        },
        projection=lambda block: block.attn1.out_proj,
    ),
}


def family_of(model) -> Family | None:
    """The row of a MODEL, by the exact class that the host gives it; None for all others."""
    kind = type(model.model)
    if getattr(model.model, "image_to_video", False):  # Cosmos Predict2 has one class for videos and pictures
        return None
    return FAMILIES.get(kind.__name__) if kind.__module__ == "comfy.model_base" else None


class Transformer:
    """A `Network` that reads the attention output of a block at the picture's tokens."""

    lifts = False
    own_timestep = 281  # a share of .44 of noise; published work reads between .1 and .5
    samplings: tuple[type, ...] = (EPS, CONST, COSMOS_RFLOW)

    def __init__(self, model, family: Family):
        self.model, self.family = model, family

    def name(self) -> str:
        own = network_of(self.model)
        return self.family.name if self.reads() else f"{self.family.name} inside {type(own).__name__} of another pack"

    def reads(self) -> bool:
        """Whether the network is the host's, not what another pack has put in its place."""
        return type(network_of(self.model)).__name__ == self.family.network

    def blocks(self) -> dict[Block, Any]:
        """Every block in running order."""
        network = network_of(self.model)
        stacks = ((stack.kind, getattr(network, stack.attribute)) for stack in self.family.stacks)
        return {Block(kind, number): block for kind, blocks in stacks for number, block in enumerate(blocks)}

    def find_place(self, name: str) -> Block:
        """The block of a name like "double 17"; "auto" is the one that the family's row has."""
        blocks = list(self.blocks())
        wanted = " ".join(name.lower().split())
        if wanted == "auto":
            return self.family.unasked.block_of(self.counts(), blocks)
        for block in blocks:
            if wanted == str(block):
                return block
        last = {block.kind: block.number for block in blocks}
        known = ", ".join(f'"{kind} 0" to "{kind} {number}"' for kind, number in last.items())
        raise ValueError(f'this model has no block "{name}"; use "auto" or {known}')

    def counts(self) -> tuple[int, ...]:
        """How many blocks there are of each kind."""
        return tuple(len(getattr(network_of(self.model), stack.attribute)) for stack in self.family.stacks)

    def evidence(self, place: Block) -> str:
        return self.family.unasked.evidence(self.counts()) if place == self.find_place("auto") else "as asked for"

    def grid_of(self, place: Block, latent_size: tuple[int, int]) -> tuple[int, int]:
        height, width = (-(-side // self.cells_in_token()) for side in latent_size)
        return height, width

    def cells_together(self, place: Block) -> int:
        return self.cells_in_token()

    def cells_in_token(self) -> int:
        patch = getattr(network_of(self.model), self.family.patch)
        return patch if isinstance(patch, int) else patch[-1]  # Hunyuan's has a number for every axis

    def limits(self) -> tuple[int, int | None]:
        """At most 192 tokens a side in SD3."""
        tokens = getattr(network_of(self.model), "pos_embed_max_size", None)
        return self.family.least, tokens and tokens * self.cells_in_token()

    def own_pixels(self, pixels_per_cell: int) -> int:
        return self.family.pixels

    def capture(self, place: Block, grid: tuple[int, int]) -> AttentionOutput | ProjectionInput:
        if self.family.projection:
            return ProjectionInput(self.family.projection(self.blocks()[place]), grid)
        return AttentionOutput(*self.joint_attention(place, grid))

    def joint_attention(self, place: Block, grid: tuple[int, int]) -> tuple:
        """Where the hooks of joint attention find the picture's tokens."""
        return place, self.replaced_as(place), self.attentions_before(place), grid, self.filled()

    def attention_grid(self, place: Block, latent_size: tuple[int, int]) -> tuple[int, int]:
        return self.grid_of(place, latent_size)

    def capture_attention(
        self, place: Block, grid: tuple[int, int], finer: int, attend: Callable
    ) -> JointAttention | None:
        if self.family.projection:
            return None
        return JointAttention(finer, *self.joint_attention(place, grid))

    def filled(self) -> int | None:
        """The multiple to which the picture's tokens are padded: 32 in Z-Image; None where they come first."""
        multiple = getattr(network_of(self.model), "pad_tokens_multiple", None) or 1
        return None if self.family.picture_first else multiple

    def replaced_as(self, block: Block) -> tuple[str, int] | None:
        """The host's name of a block where other packs can replace it."""
        (name,) = (stack.replaced for stack in self.family.stacks if stack.kind == block.kind)
        return (name, block.number) if name else None

    def attentions_before(self, block: Block) -> int:
        """How many attentions run before those of a block in one evaluation."""
        attentions = {each.kind: each.attentions for each in self.family.stacks}
        blocks = list(self.blocks())
        before = sum(attentions[each.kind] for each in blocks[: blocks.index(block)])
        return self.family.before(network_of(self.model)) + before

    def layers_to_pass(self) -> None:
        return None

    def context_width(self) -> int:
        return self.family.text_width(network_of(self.model))

    def needs_beside_text(self) -> dict[str, str]:
        return self.family.needs

    def other_pictures(self) -> dict[str, str]:
        return {} if self.family.edits else self.family.others

    def read_with(self, conditioning: list) -> list:
        """Drops other pictures, because their tokens would be taken for this one's."""
        return [[text, {k: each for k, each in extras.items() if k not in REFERENCES}] for text, extras in conditioning]
