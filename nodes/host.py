"""Everything that touches ComfyUI's internals: sampling session, attention hooks, layers, VAE, progress.

The UNet is reached only through the host's guider, on copies of the model's options, with hooks that the host
offers for it; the user's MODEL is never written to. `emerdiff_ops` holds what the hooks compute.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.utils
import folder_paths
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder
from PIL import Image
from torch import Tensor

from ..emerdiff_ops.attention import add_offset, base_rows, shared_attention, spread_rows
from ..emerdiff_ops.colors import as_pil
from ..emerdiff_ops.files import inside
from ..emerdiff_ops.text_scores import word_attention
from ..emerdiff_ops.time_left import TimeLeft, in_words

__all__ = ["ExecutionBlocker", "GraphBuilder"]

log = logging.getLogger("EmerDiff")

SMALLEST_SIDE = 64  # pixels; below this the feature grid has a handful of cells
MOST_ROWS = 32  # more rows in one batch gain nothing
SECONDS_BETWEEN_PREVIEWS = 1.0
PREVIEW_SIDE = 512  # pixels
AUTOENCODER_PARAMETERS = 83.7e6  # of Stable Diffusion's


class Layer(NamedTuple):
    """A cross-attention layer of the UNet: block name, block number, transformer inside the block."""

    block: str
    number: int
    transformer: int

    def __str__(self) -> str:
        return f"{self.block} {self.number}.{self.transformer}"


# --- the model ---


def check_unet(model) -> UNetModel:
    """The model's UNet, or a ValueError naming what EmerDiff needs."""
    unet = model.get_model_object("diffusion_model")
    if not isinstance(unet, UNetModel) or not cross_attention_layers(unet):
        raise ValueError(
            "EmerDiff needs a UNet with cross-attention (SD1.x, SD2.x, SDXL); "
            f"this model is {type(model.model).__name__}. Load a Stable Diffusion checkpoint instead."
        )
    return unet


def find_layer(model, name: str, last: bool) -> Layer:
    """The layer of a name like "output 4" or "output 1.4".

    "auto" is the first (or last) cross-attention of the coarsest output level that has any: output 3 and 5 in SD1.x.
    """
    layers = cross_attention_layers(check_unet(model))
    wanted = " ".join(name.lower().split())
    if wanted == "auto":
        candidates = coarsest_output_layers(model)
    else:
        candidates = [layer for layer in layers if wanted in (str(layer), f"{layer.block} {layer.number}")]
    if not candidates:
        known = ", ".join(dict.fromkeys(f"{layer.block} {layer.number}" for layer in layers))
        raise ValueError(f'this model has no cross-attention layer "{name}"; use "auto" or one of: {known}')
    return candidates[-1 if last else 0]


def coarsest_output_layers(model) -> list[Layer]:
    """The cross-attention layers of the coarsest output level that has any: output 3, 4 and 5 in SD1.x."""
    outputs = {each: n for each, n in cross_attention_layers(check_unet(model)).items() if each.block == "output"}
    return [layer for layer, halvings in outputs.items() if halvings == max(outputs.values())]


def grid_of(model, layer: Layer, latent_size: tuple[int, int]) -> tuple[int, int]:
    """The layer's feature grid (h, w): the latent's size, halved and rounded up at every downsampling before it."""
    size = latent_size
    for _ in range(cross_attention_layers(check_unet(model))[layer]):
        size = tuple(-(-side // 2) for side in size)
    return size


def cross_attention_layers(unet) -> dict[Layer, int]:
    """Every cross-attention layer in running order, with how often the latent has been halved there."""
    blocks = [("input", number, block) for number, block in enumerate(unet.input_blocks)]
    blocks += [("middle", 0, unet.middle_block)] if unet.middle_block is not None else []
    blocks += [("output", number, block) for number, block in enumerate(unet.output_blocks)]
    layers, halvings = {}, 0
    for name, number, block in blocks:
        for part in block:
            halvings += isinstance(part, Downsample) - isinstance(part, Upsample)
            for index, transformer in enumerate(getattr(part, "transformer_blocks", [])):
                if getattr(transformer, "attn2", None) is not None:
                    layers[Layer(name, number, index)] = halvings
    return layers


def own_resolution(model, vae) -> int:
    """The shorter side, in pixels, that the model was made for: 512 (SD1.x), 768 (SD2.1-v), 1024 (SDXL)."""
    config = model.get_model_object("model_config").unet_config
    if config.get("adm_in_channels") == 2816:
        cells = 128  # SDXL
    elif config.get("context_dim") == 1024 and "V_PREDICTION" in model.get_model_object("model_type").name:
        cells = 96  # SD2.1-v
    else:
        cells = 64
    return cells * pixels_per_cell(vae)


def context_width(model) -> int:
    """How many numbers the UNet takes for every token of the text: 768 (SD1.x), 1024 (SD2.x), 2048 (SDXL)."""
    return model.get_model_object("model_config").unet_config["context_dim"]


def latent_format_name(model) -> str:
    return type(model.get_model_object("latent_format")).__name__


def sigma_of(model, timestep: int) -> float:
    return float(model.get_model_object("model_sampling").sigma(torch.tensor([timestep])))


def rows_that_fit(model, latent_size) -> int:
    """How many rows of this latent one batch may hold in the memory that is free now, at least two."""
    channels = model.get_model_object("latent_format").latent_channels
    need = model.memory_required([1, channels, *latent_size])
    free = model.get_free_memory(model.load_device)
    return max(2, min(MOST_ROWS, int(0.7 * free / need)))


# --- sampling ---


class _PlainGuider(comfy.samplers.CFGGuider):
    """The positive conditioning alone: no guidance, and none of the hooks around it that run the UNet again."""

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        conds = [self.conds["positive"]]
        return comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})[0]


def run_session(model, conditioning, latent: Tensor, work: Callable) -> Tensor:
    """`work(x0, predict)` with the model loaded, and the latents it returns brought back to the VAE's scale.

    x0 [1, c, h', w'] is `latent` in the model's own space. predict(x, sigma, hooks) is the denoised prediction;
    hooks.install(transformer_options) is given options that live for this one evaluation.
    """

    def passes(model_k, x, sigmas, extra_args=None, callback=None, disable=None):
        def predict(x, sigma, hooks):
            options = comfy.model_patcher.create_model_options_clone(extra_args["model_options"])
            hooks.install(options["transformer_options"])
            x = x.contiguous(memory_format=torch.channels_last)  # convolutions are as fast or faster in this layout
            return model_k(x, x.new_full((x.shape[0],), sigma), **{**extra_args, "model_options": options})

        return work(model_k.latent_image, predict)

    guider = _PlainGuider(model)
    guider.inner_set_conds({"positive": conditioning})
    sigmas = torch.tensor([sigma_of(model, 1), 0.0])
    return guider.sample(
        torch.zeros_like(latent), latent, comfy.samplers.KSAMPLER(passes), sigmas, disable_pbar=True, seed=0
    )


class Captured(Exception):
    """Ends the UNet evaluation whose queries have been read; it takes the way out that Cancel takes."""


class QueryCapture:
    """Keeps the queries of one cross-attention layer, to_q(norm2(x)), [rows, h*w, heads * dim], and stops there."""

    def __init__(self, layer: Layer):
        self.layer = layer
        self.expected = False
        self.grid = None
        self.queries = None

    def install(self, transformer_options) -> None:
        transformer_options.setdefault("patches", {}).setdefault("attn2_patch", []).append(self.before)
        _chain_attention(transformer_options, self.attention)

    def before(self, n, context, value, options):
        self.expected = _layer_of(options) == self.layer
        if self.expected:
            self.grid = tuple(options["activations_shape"][-2:])
        return n, context, value

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        if self.expected:
            self.queries = query.float().cpu()
            raise Captured
        return attend(query, key, value, heads, *args, **kwargs)


class WordAttention:
    """Keeps where the picture attends to groups of the text's tokens at some layers; changes nothing.

    words [groups, tokens], 1 where a token belongs to a group. maps: per layer [groups, rows, h*w] float32.
    """

    def __init__(self, layers: list[Layer], words: Tensor):
        self.layers, self.words = layers, words
        self.current = None
        self.maps = {}

    def install(self, transformer_options) -> None:
        transformer_options.setdefault("patches", {}).setdefault("attn2_patch", []).append(self.before)
        _chain_attention(transformer_options, self.attention)

    def before(self, n, context, value, options):
        self.current = _layer_of(options)
        return n, context, value

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        layer, self.current = self.current, None  # the next call is a self-attention
        if layer in self.layers:
            self.maps[layer] = word_attention(query, key, heads, self.words).cpu()
        return attend(query, key, value, heads, *args, **kwargs)


class Modulation:
    """Hooks of one UNet evaluation over rows that share row 0's attention maps, offset at one layer if asked.

    With offsets all rows enter equal, so everything before the offset layer runs on a single row.
    """

    def __init__(self, layer: Layer, offsets: Tensor | None, inject: bool):
        self.layer = layer
        self.offsets = offsets  # [rows, h*w]
        self.inject = inject
        self.rows = 1

    def install(self, transformer_options) -> None:
        patches = transformer_options.setdefault("patches", {})
        if self.inject:
            patches.setdefault("attn1_patch", []).append(self.self_attention_inputs)
            _chain_attention(transformer_options, self.attention)
        patches.setdefault("attn2_patch", []).append(self.cross_attention_inputs)
        patches.setdefault("attn2_output_patch", []).append(self.cross_attention_output)
        if self.offsets is not None:
            patches.setdefault("output_block_patch", []).append(self.skip_connection)
            add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "emerdiff", self.shared_prefix, transformer_options)

    def shared_prefix(self, executor, x, timesteps, context=None, y=None, control=None, options=None, **kwargs):
        """Run the rows before the offset layer as one. Not beside a control net, whose residuals have every row."""
        if control is not None or len(options["cond_or_uncond"]) > 1:
            return executor(x, timesteps, context, y, control, options, **kwargs)
        first = partial(_first_row, rows=x.shape[0])
        rest = {name: first(value) for name, value in kwargs.items()}
        return executor(first(x), first(timesteps), first(context), first(y), None, options, **rest)

    def self_attention_inputs(self, n, context, value, options):
        """Query and key of row 0, values of every row: the map is projected and computed once."""
        groups = len(options["cond_or_uncond"])
        return base_rows(n, groups), base_rows(context, groups), value

    def attention(self, attend, query, key, value, heads, *args, **kwargs):
        if value.shape[0] == query.shape[0]:
            return attend(query, key, value, heads, *args, **kwargs)
        return shared_attention(query, key, value, heads)

    def cross_attention_inputs(self, n, context, value, options):
        """Keys and values come from the text alone, so with the map injected the output is row 0's for every row."""
        groups = len(options["cond_or_uncond"])
        self.rows = n.shape[0] // groups
        if self.inject:
            return base_rows(n, groups), base_rows(context, groups), base_rows(value, groups)
        return n, spread_rows(context, groups, self.rows), spread_rows(value, groups, self.rows)

    def cross_attention_output(self, n, options):
        groups = len(options["cond_or_uncond"])
        if self.offsets is None or _layer_of(options) != self.layer:
            return spread_rows(n, groups, self.rows)
        if n.shape[1] != self.offsets.shape[1]:
            raise ValueError(
                "EmerDiff cannot modulate under a conditioning that covers only an area; use a plain empty prompt"
            )
        return add_offset(spread_rows(n, groups, self.offsets.shape[0]), self.offsets)

    def skip_connection(self, h, skip, options):
        """The skips of blocks that ran as one row, for the rows there are by now."""
        return h, spread_rows(skip, 1, h.shape[0]) if skip.shape[0] == 1 else skip


def _first_row(value, rows: int):
    return value[:1] if isinstance(value, Tensor) and value.shape[:1] == (rows,) else value


def _layer_of(options) -> Layer:
    return Layer(*options["block"], options.get("block_index", 0))


def _chain_attention(transformer_options, hook: Callable) -> None:
    """Put `hook(attend, query, key, value, heads, ...)` before whatever attention would have run."""
    previous = transformer_options.get("optimized_attention_override")

    def override(function, query, key, value, heads, *args, **kwargs):
        attend = partial(previous, function) if previous else function
        return hook(attend, query, key, value, heads, *args, **kwargs)

    transformer_options["optimized_attention_override"] = override


# --- images and latents ---


def check_image(image: Tensor) -> Tensor:
    """IMAGE as float32 RGB [B, H, W, 3], or a ValueError that says what is wrong with it."""
    image = image[..., :3].float()
    height, width = image.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"the image is {width} x {height} pixels; EmerDiff needs at least {SMALLEST_SIDE} on the shorter side. "
            "Upscale it first."
        )
    for number, picture in enumerate(image):
        if not torch.isfinite(picture).all():
            raise ValueError(f"image {number} of the batch has NaN or infinite pixels; check the node that made it")
        if picture.amax() - picture.amin() < 1 / 255:
            raise ValueError(f"image {number} of the batch is one flat colour (all black?); nothing to segment")
    return image


def check_mask(mask: Tensor) -> Tensor:
    """MASK as float32 [M, H, W] on the CPU, or a ValueError that says what is wrong with it."""
    if mask.numel() == 0:
        raise ValueError("the mask is empty: it has no rows or no pixels; check the node that made it")
    mask = mask.reshape(-1, *mask.shape[-2:]).float().cpu()
    if not torch.isfinite(mask).all():
        raise ValueError("the mask has NaN or infinite values; check the node that made it")
    flat = [number for number, each in enumerate(mask) if each.amin() == each.amax()]
    if len(flat) == len(mask):
        raise ValueError(
            "the mask is the same everywhere, so there is nothing to lift: paint over the thing first (right-click the "
            "picture, Open in MaskEditor) or connect another mask"
        )
    if flat:
        log.warning("masks %s are the same everywhere and come back as they are", flat)
    return mask.clamp(0, 1)


def encode(model, vae, image: Tensor, resolution: int) -> tuple[Tensor, tuple[int, int]]:
    """Latents [B, c, h', w'] of an IMAGE brought to working size, and that size (height, width)."""
    height, width = image.shape[1:3]
    shorter = min(resolution or own_resolution(model, vae), height, width)
    scale = shorter / min(height, width)
    size = round(height * scale), round(width * scale)
    pixels = image.movedim(-1, 1)  # [B, 3, H, W]
    if size != (height, width):
        pixels = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    multiple = pixels_per_cell(vae)
    pad = (0, -size[1] % multiple, 0, -size[0] % multiple)
    pixels = torch.nn.functional.pad(pixels, pad, mode="replicate")
    latent = vae.encode(pixels.movedim(1, -1)).float().cpu()
    check_latent(model, latent, "the VAE's")
    return latent, size


def check_latent(model, latent: Tensor, whose: str) -> None:
    channels = model.get_model_object("latent_format").latent_channels
    if latent.ndim != 4 or latent.shape[1] != channels:
        raise ValueError(
            f"{whose} latents are {list(latent.shape)}, this model takes {channels} channels: "
            "connect MODEL and VAE of the same checkpoint"
        )


def decode(vae, latents: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [N, H, W, 3] float32 on the CPU, the padding cut off."""
    images = vae.decode(latents).float().cpu()
    return images[:, : size[0], : size[1], :3]


def pixels_per_cell(vae) -> int:
    """Pixels on a side of the picture that one cell of the latent stands for: 8 in Stable Diffusion."""
    return vae.spacial_compression_encode()


def decoding_weight(vae) -> float:
    """About how many rows of the UNet a decoding costs, before any has run.

    Three for Stable Diffusion's autoencoder at any size of picture; others in proportion to their parameters.
    """
    return 3.0 * sum(each.numel() for each in vae.first_stage_model.parameters()) / AUTOENCODER_PARAMETERS


# --- the machine and its user ---


class Progress:
    """The node's progress bar over its evaluations, with the time left; every step is also a chance to cancel.

    planned and weights as in TimeLeft; node, the id of the node that the user sees.
    """

    def __init__(self, planned: dict[str, int], weights: dict[str, float], node: str | None = None):
        self.clock, self.node = TimeLeft(planned, weights), node
        self.bar = comfy.utils.ProgressBar(sum(planned.values()))
        self.begin = self.last = self.shown = time.perf_counter()

    def step(self, kind: str, amount: int = 1, preview: Callable[[], Tensor] | None = None) -> None:
        """`amount` more of `kind` are done. preview() gives a picture [H, W, 3]; it is asked for once a second."""
        throw_if_cancelled()
        now = time.perf_counter()
        self.clock.add(kind, now - self.last, amount)
        self.last, done = now, sum(self.clock.done.values())
        picture = None
        if now - self.shown > SECONDS_BETWEEN_PREVIEWS:
            self.shown = now
            show_text(self.node, f"{done} of {self.bar.total}, about {in_words(self.clock.left())} left")
            picture = preview and ("JPEG", as_pil(preview(), PREVIEW_SIDE), PREVIEW_SIDE)
        self.bar.update_absolute(done, preview=picture)
        if done == self.bar.total:
            show_text(self.node, f"{done} evaluations in {in_words(now - self.begin)}")


def show_text(node: str | None, text: str) -> None:
    """Put a line of text on a node, where a server runs."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is not None and node is not None:
        server.send_progress_text(text, node)


def shown_node(hidden) -> str | None:
    """The id of the node that the user sees: the one that expanded into this one, or this one itself."""
    if hidden is None or hidden.unique_id is None or hidden.dynprompt is None:
        return None
    return hidden.dynprompt.get_display_node_id(hidden.unique_id)


def say(hidden, notes: list[str]) -> None:
    """Sentences for the user: in the log as warnings, and on the node."""
    for note in notes:
        log.warning(note)
    if notes:
        show_text(shown_node(hidden), " ".join(notes))


def throw_if_cancelled() -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()


def to_output(tensor: Tensor) -> Tensor:
    """float32 on the host's intermediate device, as MASK and IMAGE have to be."""
    return tensor.float().to(comfy.model_management.intermediate_device())


def save_temp(image: Image.Image, ending: str) -> dict[str, str]:
    """The image as a file of the temp folder, named by its content so that no cache shows an old one; where it is."""
    name = f"{hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()[:20]}.{ending}"
    folder = Path(folder_paths.get_temp_directory()) / "emerdiff"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{name}.part", {"jpg": "jpeg"}.get(ending, ending), quality=92, subsampling=0)
        (folder / f"{name}.part").replace(folder / name)  # no reader sees half a file
    return {"filename": name, "subfolder": "emerdiff", "type": "temp"}


def save_location(filename_prefix: str) -> str:
    """A new path in the output folder, numbered as the host numbers its pictures, without an ending."""
    folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, folder_paths.get_output_directory())
    return f"{folder}/{name}_{counter:05}_"


def find_file(file_name: str) -> Path:
    """A file of the output or the input folder, never one outside them; ValueError when there is none."""
    roots = [folder_paths.get_output_directory(), folder_paths.get_input_directory()]
    candidates = [inside(Path(root) / file_name, roots) for root in roots]
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise ValueError(
            f'there is no file "{file_name}" in the output or input folder; give the name EmerDiff Save made'
        )
    return found[0]
