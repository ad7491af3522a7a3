"""Refuses bad input before any work is done, each kind in one sentence with the way out."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from ..host import clip as clips
from ..host import memory, network
from ..host.latents import pixels_per_cell
from ..host.recipes import RECIPES, SEED_RECIPES, recipe_of, seed_recipe_of
from ..host.transformers import FAMILIES
from .values import Size, Source

log = logging.getLogger("EmerDiff")

SMALLEST_SIDE = 64  # pixels; below this the feature grid has a handful of cells
CHANNELS = (1, 2, 3, 4)  # grey, grey and transparent, RGB, RGBA
BEYOND = 0.25  # how far resizing with sharp filters may overshoot 0..1; beyond it the range is another
MEND_VAE = (
    "in fp16 some do; start ComfyUI with --fp32-vae or --bf16-vae, or load another VAE (for SDXL one with fp16 fix)"
)


# --- the model and what belongs to it ---


def check_source(source: Source) -> None:
    check_model(source.model)
    check_vae(source.model, source.vae)
    check_conditioning(source.model, source.conditioning)


def check_model(model) -> None:
    """ValueError unless features can be read from the model, and it removes noise."""
    if model is None:
        raise ValueError("there is no model: load a Stable Diffusion checkpoint (SD1.x, SD2.x, SDXL) and connect it")
    own = network.of(model)
    if not own.reads():
        raise ValueError(
            "EmerDiff needs a UNet with cross-attention (SD1.x, SD2.x, SDXL) or a transformer for pictures "
            f"({', '.join(family.name for family in FAMILIES.values())}); this model is {own.name()}. Load one of "
            "those instead."
        )
    if not network.removes_noise(model):
        raise ValueError(
            "EmerDiff needs a model that removes noise (epsilon, v, x0 or flow prediction); this one samples by "
            f"{network.ways_of_sampling(model)}. Load an ordinary checkpoint, or connect the model from before a "
            "ModelSampling node."
        )


def check_lifts(model, what: str) -> None:
    """ValueError where the model is a transformer; it says that `what` needs a UNet."""
    own = network.of(model)
    if not own.lifts:
        raise ValueError(
            f"{what} needs a UNet with cross-attention (SD1.x, SD2.x, SDXL); this model is {own.name()}, a "
            'transformer: use the preset "draft" and EmerDiff Select Segments, or EmerDiff Pick by Points, which work '
            "with it"
        )


def check_finds_words(model) -> None:
    """ValueError where this model has no way to find words: none is published, or none is built."""
    own = network.of(model)
    if not own.lifts and not recipe_of(model) and not seed_recipe_of(model):
        known = ", ".join(FAMILIES[each].name for each in (*RECIPES, *SEED_RECIPES))
        raise ValueError(
            f"EmerDiff Select by Text finds words with UNets (SD1.x, SD2.x, SDXL) and with {known}; this model is "
            f"{own.name()}, whose picture attends to text apart from itself, for which nothing is built: use EmerDiff "
            "Select Segments or EmerDiff Pick by Points, which work with it"
        )


def check_vae(model, vae) -> None:
    """ValueError where there is no VAE, or one that makes other latents than this model takes."""
    if vae is None or vae.first_stage_model is None:
        raise ValueError("the checkpoint has no VAE: load the one that belongs to the model with Load VAE")
    has = vae.latent_channels, pixels_per_cell(vae)
    needs = network.latent_channels(model), network.latent_ratio(model)
    if vae.latent_dim != network.latent_axes(model) or has != needs:
        raise ValueError(
            f"this VAE makes latents of {has[0]} channels, one cell for {has[1]} pixels; the model takes {needs[0]} "
            f"channels and {needs[1]} pixels: connect MODEL and VAE of the same checkpoint"
        )


def check_conditioning(model, conditioning) -> None:
    """ValueError where this model cannot read the conditioning, or the conditioning covers only an area."""
    if not conditioning:
        raise ValueError("the conditioning is empty: connect CLIPTextEncode with an empty prompt")
    own = network.of(model)
    width, needs = own.context_width(), own.needs_beside_text()
    for tokens, extras in conditioning:
        if tokens.shape[-1] != width:
            raise ValueError(
                f"the conditioning is {tokens.shape[-1]} numbers wide, this model takes {width}: encode the prompt "
                "with the CLIP of the same model"
            )
        missing = [words for name, words in needs.items() if name not in extras]
        if missing and "unclip_conditioning" not in extras:
            raise ValueError(
                f"this conditioning has no {missing[0]}, which this model needs: connect "
                "CLIPTextEncode with an empty prompt and the text encoders of the same model"
            )
        others = [node for name, node in own.other_pictures().items() if name in extras]
        if others:
            raise ValueError(
                f"the conditioning brings other pictures along ({others[0]}), and {own.name()} is not known to "
                "read a picture without them: connect CLIPTextEncode with an empty prompt"
            )
        if "area" in extras or extras.get("set_area_to_bounds"):
            raise ValueError(
                "the conditioning covers only an area, and EmerDiff reads the whole picture: connect CLIPTextEncode "
                "with an empty prompt, not Conditioning (Set Area)"
            )


def check_clip(model, clip) -> None:
    """ValueError where there is no CLIP, or one whose text this model cannot read."""
    if clip is None:
        raise ValueError("the checkpoint has no text encoder: load one with Load CLIP or DualCLIPLoader")
    width, needed = clips.width_of(clip), network.of(model).context_width()
    if width != needed:
        raise ValueError(
            f"the CLIP's text is {width} numbers wide, this model takes {needed}: connect MODEL and CLIP of the same "
            "checkpoint"
        )


def check_phrases_fit(count: int, labels: Tensor) -> None:
    """ValueError where mask, soft mask and overlay of so many phrases for labels [B, H, W] are more than is free."""
    need, free = 20 * count * labels.numel(), memory.free_on_processor()
    if need > free:
        raise ValueError(
            f"masks of {count} phrases take {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: name fewer at once, "
            "or make the batch or the pictures smaller"
        )


def check_brackets(clip, phrases: list[str]) -> None:
    """ValueError where a phrase has weights in brackets and the text encoder does not read them."""
    bracketed = [phrase for phrase in phrases if "(" in phrase]
    if bracketed and not clips.reads_weights(clip):
        raise ValueError(
            f'"{bracketed[0]}": this model\'s text encoder takes brackets for text: leave brackets and weights out'
        )


# --- pictures and masks ---


def pictures_of(image: Tensor) -> Tensor:
    """IMAGE as float32 RGB [B, H, W, 3], grey repeated and transparency dropped; ValueError where it is no IMAGE."""
    if image.ndim != 4 or image.shape[-1] not in CHANNELS:
        raise ValueError(
            f"an IMAGE is [pictures, height, width, colours], this one is {list(image.shape)}: check the node that "
            "made it, which left an axis out or has them in another order"
        )
    if image.numel() == 0:
        raise ValueError(f"the image holds no picture, it is {list(image.shape)}: check the node that made it")
    image = (image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)).float()
    for number, picture in enumerate(image):
        lowest, highest = (float(end) for end in picture.aminmax())  # one NaN makes both NaN
        if not math.isfinite(highest - lowest):
            raise ValueError(f"image {number} of the batch has NaN or infinite pixels; check the node that made it")
        if lowest < -BEYOND or highest > 1 + BEYOND:
            raise ValueError(
                f"image {number} of the batch has values from {lowest:.4g} to {highest:.4g}, an IMAGE has 0 to 1: "
                "check the node that made it, which gives another range such as 0 to 255 or -1 to 1"
            )
    return image


def check_image(image: Tensor) -> Tensor:
    """IMAGE that can be segmented as float32 RGB [B, H, W, 3], or a ValueError that says what is wrong with it."""
    image = pictures_of(image)
    height, width = image.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"the image is {width} x {height} pixels; EmerDiff needs at least {SMALLEST_SIDE} on the shorter side. "
            "Upscale it first."
        )
    for number, picture in enumerate(image):
        if picture.amax() - picture.amin() < 1 / 255:
            raise ValueError(f"image {number} of the batch is one flat colour (all black?); nothing to segment")
    return image


def masks_of(mask: Tensor) -> Tensor:
    """MASK as float32 [M, H, W] on the CPU, with a missing or extra axis mended; ValueError where it is no MASK."""
    shape = list(mask.shape)
    if mask.ndim == 3 and shape[2] == 1 < shape[1]:
        mask = mask[None, ..., 0]  # one mask with a channel axis: no mask is one pixel wide
    elif mask.ndim == 4 and 1 in (shape[1], shape[3]):
        mask = mask.squeeze(3) if shape[3] == 1 else mask.squeeze(1)
    elif mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3:
        raise ValueError(
            f"a MASK is [masks, height, width], this one is {shape}: check the node that made it; of a picture take "
            "one channel, with Convert Image to Mask"
        )
    if mask.numel() == 0:
        raise ValueError(f"there are no masks: no rows or no pixels in {shape}; check the node that made them")
    mask = mask.float().cpu()
    if not all(torch.isfinite(torch.stack(each.aminmax())).all() for each in mask):  # all at once would take a copy
        raise ValueError("the mask has NaN or infinite values; check the node that made it")
    return mask


def check_mask(mask: Tensor) -> Tensor:
    """MASK that can be lifted as float32 [M, H, W] in 0..1 on the CPU, or a ValueError that says what is wrong.

    Each mask is divided by its own maximum, so a faint heat map works as well as a bright one.
    """
    mask = masks_of(mask)
    flat = [number for number, each in enumerate(mask) if is_flat(each)]
    if len(flat) == len(mask):
        raise ValueError(
            "the mask is the same everywhere, so there is nothing to lift: paint over the thing first (right-click the "
            "picture, Open in MaskEditor) or connect another mask"
        )
    if flat:
        log.warning("masks %s are the same everywhere and come back as they are", flat)
    return torch.stack([each.clamp(0, 1) if number in flat else in_full(each) for number, each in enumerate(mask)])


def is_flat(mask: Tensor) -> bool:
    """Whether a mask is the same everywhere, so that there is nothing to lift."""
    return bool(mask.amin() == mask.amax())


def in_full(mask: Tensor) -> Tensor:
    """Scales a mask [H, W] to 0..1 by its own maximum; values below 0 become 0."""
    mask = mask.clamp_min(0)
    return mask / mask.amax().clamp_min(torch.finfo(mask.dtype).tiny)


# --- what the model and the VAE give ---


def check_encoded(model, latent: Tensor) -> Tensor:
    """The VAE's latents of a picture, or a ValueError that says what is wrong with the VAE."""
    check_latent(model, latent, "the VAE's")
    if not torch.isfinite(latent).all():
        raise ValueError(f"the VAE gives NaN or infinite numbers when it encodes this picture: {MEND_VAE}")
    return latent


def check_decoded(images: Tensor) -> Tensor:
    """Pictures that the VAE decoded from finite latents, or a ValueError that says what is wrong with the VAE."""
    if not torch.isfinite(images).all():
        raise ValueError(f"the VAE gives NaN or infinite numbers when it decodes: {MEND_VAE}")
    return images


def check_predicted(prediction: Tensor) -> Tensor:
    """The network's output, or a ValueError that says what is wrong with the model."""
    if not torch.isfinite(prediction).all():
        raise ValueError(
            "the model gives NaN or infinite numbers: run it in bf16 or fp32 (start ComfyUI with --bf16-unet or "
            "--fp32-unet, or choose another weight_dtype), lower strength, or load another checkpoint"
        )
    return prediction


def check_words_read(complete: bool) -> None:
    """ValueError where another pack kept some block from running in which words are read."""
    if not complete:
        raise ValueError(
            "another node replaces or skips blocks of this model, so that words cannot be found: connect the model "
            "from before it"
        )


def check_canvas(model, canvas: Size) -> None:
    """ValueError where the network cannot take a latent of this size, surroundings included."""
    own, pixels = network.of(model), network.latent_ratio(model)  # pixels a side of a cell
    height, width = (pixels * side for side in canvas)
    least, most = (pixels * (cells or 0) for cells in own.limits())
    seen = f"with its surroundings the picture is {width} x {height} pixels as the model sees it, and this model takes "
    if most and max(height, width) > most:
        raise ValueError(f"{seen}{most} a side at most: lower resolution, or turn surroundings down")
    if (height + width) / 2 < least:
        raise ValueError(f"{seen}{least} a side at least: upscale the picture first, or turn surroundings up")


def check_grid(cells: int, grid: Size, read: Size | None = None) -> None:
    """ValueError unless the cells read inside the network fit the grid of the picture as the model sees it."""
    if cells != math.prod(grid) or (read or grid) != tuple(grid):
        came = f"{read[1]} x {read[0]}" if read else str(cells)
        raise ValueError(
            f"another node changes the size of the picture inside the model: {came} cells are read where "
            f"{grid[1]} x {grid[0]} are expected. Tiled diffusion and deep shrink do (PatchModelAddDownscale): connect "
            "the model from before such a node"
        )


def check_latent(model, latent: Tensor, whose: str) -> None:
    channels = network.latent_channels(model)
    if latent.ndim != 4 or latent.shape[1] != channels:
        raise ValueError(
            f"{whose} latents are {list(latent.shape)}, this model takes {channels} channels: "
            "connect MODEL and VAE of the same checkpoint"
        )
