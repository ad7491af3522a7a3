"""Everything that touches ComfyUI's internals: the model, the sampling session, memory, VAE, progress, files.

The UNet is reached only through the host's guider, on copies of the model's options, with hooks that the host
offers for it (`hooks.py`); the user's MODEL is never written to.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.samplers
import comfy.utils
import folder_paths
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder
from PIL import Image
from torch import Tensor

from ..emerdiff_ops.colors import as_pil
from ..emerdiff_ops.files import check_name, inside, is_inside
from ..emerdiff_ops.time_left import TimeLeft, in_words
from .hooks import Layer, wrap_unet

__all__ = ["ExecutionBlocker", "GraphBuilder"]

log = logging.getLogger("EmerDiff")
Answer = TypeVar("Answer")

SMALLEST_SIDE = 64  # pixels; below this the feature grid has a handful of cells
MOST_ROWS = 32  # more rows in one batch gain nothing
SHARE_OF_MEMORY = 0.7  # of what is free, for one batch
NOT_BY_TEXT = (comfy.model_base.SVD_img2vid, comfy.model_base.Stable_Zero123, comfy.model_base.SD_X4Upscaler)
SDXL_VECTORS = (2816, 2560)  # widths of the pooled text and sizes that SDXL and its refiner take
# Other packs' wrappers of the UNet that would make our evaluations wrong or slow: EasyCache hands out what it computed
# for other rows, and torch.compile compiles anew for every hook and size of batch.
BYPASSED_WRAPPERS = ("easycache", "torch.compile")
SECONDS_BETWEEN_PREVIEWS = 1.0
PREVIEW_SIDE = 512  # pixels
AUTOENCODER_PARAMETERS = 83.7e6  # of Stable Diffusion's


# --- the model ---


def check_unet(model) -> UNetModel:
    """The model's UNet, or a ValueError naming what EmerDiff needs."""
    if model is None:
        raise ValueError("there is no model: load a Stable Diffusion checkpoint (SD1.x, SD2.x, SDXL) and connect it")
    unet = model.get_model_object("diffusion_model")
    unet = getattr(unet, "_orig_mod", unet)  # of torch.compile
    suits = isinstance(unet, UNetModel) and not isinstance(model.model, NOT_BY_TEXT)
    if not suits or not cross_attention_layers(unet):
        raise ValueError(
            "EmerDiff needs a UNet with cross-attention (SD1.x, SD2.x, SDXL); "
            f"this model is {type(model.model).__name__}. Load a Stable Diffusion checkpoint instead."
        )
    sampling = model.get_model_object("model_sampling")
    if not isinstance(sampling, comfy.model_sampling.EPS) or isinstance(sampling, comfy.model_sampling.IMG_TO_IMG):
        ways = ", ".join(each.__name__ for each in type(sampling).__mro__[1:-1] if each is not torch.nn.Module)
        raise ValueError(
            f"EmerDiff needs a model that removes noise (epsilon, v or x0 prediction); this one samples by {ways}. "
            "Load an ordinary Stable Diffusion checkpoint, or connect the model from before a ModelSampling node."
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
    height, width = latent_size
    for _ in range(cross_attention_layers(check_unet(model))[layer]):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


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
    if config.get("adm_in_channels") in SDXL_VECTORS:
        cells = 128
    elif config.get("context_dim") == 1024 and "V_PREDICTION" in model.get_model_object("model_type").name:
        cells = 96  # SD2.1-v
    else:
        cells = 64
    return cells * pixels_per_cell(vae)


def context_width(model) -> int:
    """How many numbers the UNet takes for every token of the text: 768 (SD1.x), 1024 (SD2.x), 2048 (SDXL)."""
    return model.get_model_object("model_config").unet_config["context_dim"]


def check_conditioning(model, conditioning) -> None:
    """A ValueError naming the fix where this model cannot read the conditioning, or reads it only for an area."""
    if not conditioning:
        raise ValueError("the conditioning is empty: connect CLIPTextEncode with an empty prompt")
    for tokens, extras in conditioning:
        if tokens.shape[-1] != context_width(model):
            raise ValueError(
                f"the conditioning is {tokens.shape[-1]} numbers wide, this model takes {context_width(model)}: "
                "encode the prompt with the CLIP of the same checkpoint"
            )
        pooled = "pooled_output" in extras or "unclip_conditioning" in extras
        if not pooled and model.get_model_object("adm_channels") in SDXL_VECTORS:
            raise ValueError(
                "this conditioning has no pooled text, which SDXL needs: connect CLIPTextEncode with an empty prompt"
            )
        if "area" in extras or extras.get("set_area_to_bounds"):
            raise ValueError(
                "the conditioning covers only an area, and EmerDiff reads the whole picture: connect CLIPTextEncode "
                "with an empty prompt, not Conditioning (Set Area)"
            )


def latent_format_name(model) -> str:
    return type(model.get_model_object("latent_format")).__name__


def sigma_of(model, timestep: int) -> float:
    """The noise level of one of SD's 1000 training steps, in the model's own schedule.

    A model trained on continuous noise levels (CosXL, Playground 2.5) gets SD's at the same signal-to-noise ratio.
    """
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.ModelSamplingDiscrete):
        return float(sampling.sigma(torch.tensor([timestep])))
    usual = comfy.model_sampling.ModelSamplingDiscrete().sigma(torch.tensor([timestep]))
    return float((sampling.sigma_data * usual).clamp(sampling.sigma_min.cpu(), sampling.sigma_max.cpu()))


# --- memory ---


class Batch:
    """How many rows of a latent go through the UNet at once: what fits by the host's estimate, halved where it did not.

    `rows` given is taken instead of the estimate.
    """

    def __init__(self, model, latent_size: tuple[int, int], rows: int | None = None):
        self.rows = rows or rows_that_fit(model, latent_size)

    def attempt(self, evaluate: Callable[[], Answer], rows: int, fewest: int) -> Answer | None:
        """evaluate(), which runs so many rows, or None when memory ran out: then try again with `self.rows`."""
        try:
            return evaluate()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if rows <= fewest:
                raise comfy.model_management.OOM_EXCEPTION(
                    "EmerDiff ran out of memory with a single mask: lower resolution, or close other programs"
                ) from error
        self.rows = max(fewest, rows // 2)
        log.warning("memory ran out with %d rows at once; going on with %d", rows, self.rows)
        comfy.model_management.soft_empty_cache()
        return None


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, comfy.model_management.OOM_EXCEPTION) or "out of memory" in str(error).lower()


def rows_that_fit(model, latent_size: tuple[int, int]) -> int:
    """How many rows of this latent one batch may hold beside the model in the memory that is free now, at least two."""
    channels = model.get_model_object("latent_format").latent_channels
    need = model.memory_required([1, channels, *latent_size])
    free = model.get_free_memory(model.load_device) - (model.model_size() - model.loaded_size())
    return max(2, min(MOST_ROWS, int(SHARE_OF_MEMORY * free / need)))


# --- sampling ---


class _PlainGuider(comfy.samplers.CFGGuider):
    """The positive conditioning alone: no guidance, and none of the hooks around it that run the UNet again."""

    def outer_predict_noise(self, x, timestep, model_options=None, seed=None):
        conds = [self.conds["positive"]]
        return comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})[0]


def run_session(model, conditioning, latent: Tensor, work: Callable, rows: int = 1) -> Tensor:
    """`work(x0, predict)` with the model loaded, and the latents it returns brought back to the VAE's scale.

    x0 [1, c, h', w'] is `latent` in the model's own space. predict(x, sigma, hooks) is the denoised prediction;
    hooks.install(transformer_options) is given options that live for this one evaluation. The host keeps memory free
    for `rows` rows.
    """
    check_conditioning(model, conditioning)

    def passes(model_k, x, sigmas, extra_args=None, callback=None, disable=None):
        def predict(x, sigma, hooks):
            reached: list[bool] = []
            options = own_options(extra_args["model_options"])
            hooks.install(options["transformer_options"])
            wrap_unet(options["transformer_options"], partial(_note, reached))
            x = x.contiguous(memory_format=torch.channels_last)  # convolutions are as fast or faster in this layout
            denoised = model_k(x, x.new_full((x.shape[0],), sigma), **{**extra_args, "model_options": options})
            if not reached:
                raise ValueError(
                    "the conditioning is switched off at a noise level that EmerDiff needs; connect it without "
                    "ConditioningSetTimestepRange"
                )
            return denoised

        return work(model_k.latent_image[:1], predict)

    guider = _PlainGuider(model)
    guider.inner_set_conds({"positive": conditioning})
    sigmas = torch.tensor([sigma_of(model, 1), 0.0])
    latent = latent.expand(-(-rows // 2), -1, -1, -1)  # the host reserves memory for twice as many
    sampler = comfy.samplers.KSAMPLER(passes)
    with run_eagerly():
        return guider.sample(torch.zeros_like(latent), latent, sampler, sigmas, disable_pbar=True, seed=0)


def own_options(model_options: dict) -> dict:
    """A copy of the options for one evaluation, without what other packs put there that cannot go with ours."""
    options = comfy.model_patcher.create_model_options_clone(model_options)
    options.pop("context_handler", None)  # it would take our rows for the frames of a video
    for wrappers in options["transformer_options"].get("wrappers", {}).values():
        for key in BYPASSED_WRAPPERS:
            wrappers.pop(key, None)
    return options


def run_eagerly():
    """A context in which whatever torch.compile wrapped runs uncompiled."""
    stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6 and newer
    return stance("force_eager") if stance else nullcontext()


def _note(reached: list[bool], executor, *args, **kwargs):
    reached.append(True)
    return executor(*args, **kwargs)


def attend(query: Tensor, key: Tensor, value: Tensor, options: dict) -> Tensor:
    """The host's attention as a layer would run it, or the override of another pack: [rows, n, heads * dim]."""
    precision = options["attn_precision"]
    return optimized_attention(
        query, key, value, options["n_heads"], attn_precision=precision, transformer_options=options
    )


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
    check_vae(model, vae)
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


def check_vae(model, vae) -> None:
    """A ValueError naming the fix where there is no VAE, or one that makes other latents than this model takes."""
    if vae is None or vae.first_stage_model is None:
        raise ValueError("the checkpoint has no VAE: load the one that belongs to the model with Load VAE")
    latent = model.get_model_object("latent_format")
    has = vae.latent_channels, pixels_per_cell(vae)
    needs = latent.latent_channels, latent.spacial_downscale_ratio
    if vae.latent_dim != 2 or has != needs:
        raise ValueError(
            f"this VAE makes latents of {has[0]} channels, one cell for {has[1]} pixels; the model takes {needs[0]} "
            f"channels and {needs[1]} pixels: connect MODEL and VAE of the same checkpoint"
        )


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
            left = self.clock.left()
            if left is not None:
                show_text(self.node, f"{done} of {self.bar.total}, about {in_words(left)} left")
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
        part = folder / f"{name}.{uuid.uuid4().hex}"  # no reader sees half a file, and no two writers share one
        image.save(part, {"jpg": "jpeg"}.get(ending, ending), quality=92, subsampling=0)
        part.replace(folder / name)
    return {"filename": name, "subfolder": "emerdiff", "type": "temp"}


def save_location(filename_prefix: str) -> str:
    """A new path in the output folder, numbered as the host numbers its pictures, without an ending.

    ValueError for a name that leads out of it, through links too, or that cannot be one.
    """
    check_name(f"{filename_prefix}_00001_.safetensors")
    output, name = folder_paths.get_output_directory(), os.path.normpath(filename_prefix)
    outside = ValueError(f'"{filename_prefix}" leads outside the output folder; use a name such as "emerdiff/value"')
    if os.path.basename(name) in ("", ".", "..") or not is_inside(Path(output) / os.path.dirname(name), output):
        raise outside
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, output)
    except OSError as error:
        raise ValueError(f'the output folder takes no "{filename_prefix}" ({error}); use another name') from error
    if not is_inside(folder, output):  # the host has put dates into the name
        raise outside
    return f"{folder}/{name}_{counter:05}_"


def find_file(file_name: str) -> Path:
    """A file of the output or the input folder, never one outside them; ValueError when there is none."""
    check_name(file_name)
    roots = [folder_paths.get_output_directory(), folder_paths.get_input_directory()]
    candidates = [inside(Path(root) / file_name, roots) for root in roots]
    found = [path for path in candidates if os.path.isfile(path)]
    if not found:
        raise ValueError(
            f'there is no file "{file_name}" in the output or input folder; give the name EmerDiff Save made'
        )
    return found[0]
