"""low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff (paper, sec. 3)."""

from collections.abc import Iterator
from functools import partial

import torch
from comfy_api.latest import io
from torch.nn.functional import interpolate

from ..emerdiff_ops.colors import colorize
from ..emerdiff_ops.difference import difference_maps, evened, halfway, resize_maps
from ..emerdiff_ops.guided import along
from ..emerdiff_ops.labels import masks_to_labels
from ..emerdiff_ops.modulation import (
    PRESETS,
    decodings,
    in_chunks,
    modulated_denoising,
    modulation_levels,
    variant_offsets,
)
from ..emerdiff_ops.schedule import TRAINING_STEPS, nearest_timestep, noise_for
from . import hooks, host, inputs
from .types import DifferenceMaps, DifferenceMapsType

VARIANTS_DECODED_AT_ONCE = 8  # an even number, so that pairs stay together
FIRST_LEVEL = 0.5  # of a later level's cost, as the first runs half the UNet on one row alone


def modulate_attention(
    model, vae, conditioning, trajectory, low_res_masks, preset="paper", **options
) -> DifferenceMaps:
    """How much every pixel changes when the UNet is pushed along each mask: d_i = || I_i^- - I_i^+ ||_2.

    The options are those of `maps_as_they_come`.
    """
    pictures = maps_as_they_come(model, vae, conditioning, trajectory, low_res_masks, preset, **options)
    return DifferenceMaps(torch.stack([torch.stack(list(maps)) for maps in pictures]), trajectory.image_size)


def maps_as_they_come(
    model,
    vae,
    conditioning,
    trajectory,
    low_res_masks,
    preset="paper",
    strength=inputs.PAPER_STRENGTH,
    modulation_timestep=0,
    modulation_layer="auto",
    inject_attention=True,
    rows=None,
    node=None,
) -> Iterator[Iterator[torch.Tensor]]:
    """The difference maps [H, W] of every picture, one after the other, none kept here.

    `rows` bounds the batch of one UNet evaluation, the unmodulated run counted in; None: what fits in memory.
    `node` is the id of the node that shows the progress.
    """
    preset = PRESETS[preset]
    layer = host.find_layer(model, modulation_layer, last=True)
    host.check_vae(model, vae)
    check_trajectory(model, trajectory, low_res_masks)
    noise, sigmas = noise_levels(model, trajectory, modulation_timestep, preset)
    masks = masks_on_grid(low_res_masks.masks, host.grid_of(model, layer, trajectory.latent.shape[-2:]))
    batch = host.Batch(model, trajectory.latent.shape[-2:], rows)
    chunks = [list(in_chunks(variant_offsets(each, strength), batch.rows - 1, together=2)) for each in masks]
    weights = {"first level": FIRST_LEVEL, "later levels": 1.0, "decoding": host.decoding_weight(vae)}
    progress = host.Progress(planned(chunks, len(sigmas), preset.readout), weights, node)
    forming = torch.zeros(masks.shape[1], *trajectory.latent.shape[-2:])  # difference maps so far, for the preview

    def evaluate(predict, first, x, sigma, offsets):
        def run(x, offsets):
            return predict(x, sigma, hooks.Modulation(layer, offsets, inject_attention, len(x)))

        denoised = in_parts(run, x, offsets, batch)
        maps = difference_maps(denoised[1:], axis=1)
        forming[first // 2 : first // 2 + len(maps)] = maps.cpu()  # waits for the device: the time left is true
        kind = "later levels" if offsets is None else "first level"
        progress.step(kind, len(denoised), lambda: colorize(masks_to_labels(forming[None]))[0])
        return denoised

    for index, image_chunks in enumerate(chunks):
        forming.zero_()
        latent, eps = (each[index : index + 1] for each in (trajectory.latent, noise))
        finals = lift(
            model, conditioning, latent, eps.unbind(1), sigmas, image_chunks, evaluate, preset.deterministic, batch.rows
        )
        maps = read_out(vae, finals, latent, trajectory.working_size, preset.readout, progress)
        yield (evened(each[None], preset.evenness)[0] for each in maps)


def in_parts(run, x, offsets, batch) -> torch.Tensor:
    """run(x, offsets) on as many rows at once as memory allows, the unmodulated row 0 riding along in every part."""
    parts: list[torch.Tensor] = []
    following = 1
    while following < len(x):
        rows = [0, *range(following, min(len(x), following + batch.rows - 1))]
        part = batch.attempt(partial(run, x[rows], None if offsets is None else offsets[rows]), len(rows), fewest=2)
        if part is not None:
            parts.append(part[1:] if parts else part)
            following += len(rows) - 1
    return torch.cat(parts)


def noise_levels(model, trajectory, modulation_timestep: int, preset) -> tuple[torch.Tensor, list[float]]:
    """The sampled eps [B, levels, c, h', w'] and the sigma of every level from t_m down."""
    start = start_timestep(trajectory.timesteps, modulation_timestep, preset.timestep)
    levels = modulation_levels(trajectory.timesteps, start, preset.steps)
    # Of timesteps that the model takes for one noise level (LCM knows 50) the first: no noise leads between the others.
    steps = {host.sigma_of(model, level): level for level in reversed(levels)}
    noise = noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps)
    sigmas = sorted(steps, reverse=True)
    return torch.stack([noise[steps[sigma]] for sigma in sigmas], 1), sigmas


def planned(chunks, levels: int, readout: str) -> dict[str, int]:
    """How many rows go through the UNet at the first level and at the later ones, and how many are decoded."""
    variants = sum(len(chunk) for image in chunks for chunk in image)
    rows = variants + sum(map(len, chunks))  # the unmodulated run rides along in every chunk
    decoded = sum(decodings(readout, sum(map(len, image)) // 2) for image in chunks)
    return {"first level": rows, "later levels": rows * (levels - 1), "decoding": decoded}


def lift(model, conditioning, latent, noises, sigmas, chunks, evaluate, deterministic=False, rows=1) -> torch.Tensor:
    """Final latents [1 + V, c, h', w'] of one image: the unmodulated run's, then every variant's.

    `rows` is how many go through the UNet at once at most.
    """

    def work(x0, predict):
        eps, finals, first = [noise.to(x0) for noise in noises], [], 0
        for chunk in chunks:
            denoise = partial(evaluate, predict, first)
            finals.append(modulated_denoising(denoise, x0, eps, sigmas, chunk.to(x0), deterministic).cpu())
            first += len(chunk)
        return torch.cat([finals[0], *(rows[1:] for rows in finals[1:])])

    most = min(rows, 1 + max(map(len, chunks)))
    return host.run_session(model, conditioning, latent, work, most)


def read_out(vae, finals, latent, size, readout: str, progress) -> Iterator[torch.Tensor]:
    """d_i [H, W] of each mask, from final latents [1 + V, c, h', w'], the unmodulated run's first."""
    if readout == "latents":
        yield from latent_differences(vae, finals[1:], latent, size, progress)
        return
    base = None
    if readout == "halfway":
        finals = halfway(finals)
        base = host.decode(vae, finals[:1], size)
        progress.step("decoding")
    for variants in finals[1:].split(VARIANTS_DECODED_AT_ONCE):
        yield from difference_maps(host.decode(vae, variants, size), base)
        progress.step("decoding", len(variants))


def latent_differences(vae, variants, latent, size, progress) -> Iterator[torch.Tensor]:
    """K maps d_i [H, W] of the latents themselves, enlarged along the borders of the picture."""
    cell = host.pixels_per_cell(vae)
    follow = along(host.decode(vae, latent, size)[0], size, radius=cell)
    progress.step("decoding")
    for coarse in difference_maps(variants, axis=1):  # [h', w']
        host.throw_if_cancelled()
        large = resize_maps(coarse[None], tuple(cell * side for side in coarse.shape))[0]
        yield follow(large[: size[0], : size[1]])  # without the padding


def start_timestep(grid, modulation_timestep: int, own: int) -> int:
    """t_m: the preset's own for 0, else the nearest of the trajectory's timesteps; says so when it had to move."""
    if not 0 <= modulation_timestep < TRAINING_STEPS:
        raise ValueError(
            f"modulation_timestep must be between 0 and 999, not {modulation_timestep}; the paper uses 281"
        )
    start = nearest_timestep(modulation_timestep or own, grid)
    if modulation_timestep and start != modulation_timestep:
        host.log.warning("modulation_timestep %d is not on the trajectory; %d is used.", modulation_timestep, start)
    return start


def masks_on_grid(masks, grid) -> torch.Tensor:
    """Masks [B, K, h, w] on the modulated layer's grid; averaged when the features came from another level."""
    return masks if masks.shape[-2:] == tuple(grid) else interpolate(masks, tuple(grid), mode="area")


def check_trajectory(model, trajectory, low_res_masks) -> None:
    name = host.latent_format_name(model)
    host.check_latent(model, trajectory.latent, "the trajectory's")
    if trajectory.latent_format != name:
        raise ValueError(
            f"the trajectory was made with another kind of model ({trajectory.latent_format}, not {name}); "
            "run EmerDiff Extract Features with this model"
        )
    if low_res_masks.latent_size != tuple(trajectory.latent.shape[-2:]):
        raise ValueError(
            f"the masks were made for latents of {low_res_masks.latent_size}, the trajectory has "
            f"{tuple(trajectory.latent.shape[-2:])}; take both from one EmerDiff Extract Features"
        )
    if len(low_res_masks.masks) != len(trajectory.latent):
        raise ValueError(
            f"masks of {len(low_res_masks.masks)} images, but a trajectory of {len(trajectory.latent)}; "
            "take both from one EmerDiff Extract Features"
        )


class EmerDiffModulateAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EmerDiffModulateAttention",
            display_name="EmerDiff Modulate Attention",
            category="EmerDiff",
            description="Lift every coarse mask to pixels: push the UNet along it both ways and see which pixels "
            "change. The slow step, two denoising runs per segment. Third of the four.",
            search_aliases=["modulated denoising", "attention modulation", "refine masks", "difference maps"],
            inputs=[
                inputs.model(),
                inputs.vae(),
                inputs.conditioning(),
                inputs.trajectory(),
                inputs.low_res_masks(),
                inputs.preset(),
                inputs.strength(),
                io.Int.Input(
                    "modulation_timestep",
                    default=0,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="t_m: the timestep that is pushed, snapped to the trajectory's; 0 = the preset's own "
                    "(281 in the paper). 281 to 481 is best; larger costs the paper preset more steps.",
                ),
                io.String.Input(
                    "modulation_layer",
                    default="auto",
                    advanced=True,
                    tooltip='Cross-attention layer that is pushed: "auto", or a name like "output 5", "output 2.9".',
                ),
                io.Boolean.Input(
                    "inject_attention",
                    default=True,
                    advanced=True,
                    tooltip="Hold all attention maps at the unmodulated run's, as the paper does.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            outputs=[
                DifferenceMapsType.Output(
                    display_name="difference_maps", tooltip="How much each pixel answers to each mask."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        conditioning,
        trajectory,
        low_res_masks,
        preset,
        strength=inputs.PAPER_STRENGTH,
        modulation_timestep=0,
        modulation_layer="auto",
        inject_attention=True,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            modulate_attention(
                model,
                vae,
                conditioning,
                trajectory,
                low_res_masks,
                preset,
                strength=strength,
                modulation_timestep=modulation_timestep,
                modulation_layer=modulation_layer,
                inject_attention=inject_attention,
                node=host.shown_node(cls.hidden),
            )
        )
