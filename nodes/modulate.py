"""low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff (paper, sec. 3)."""

import math
from functools import partial

import torch
from comfy_api.latest import io
from torch.nn.functional import interpolate

from ..emerdiff_ops.difference import pair_difference
from ..emerdiff_ops.modulation import in_chunks, modulated_denoising, modulation_levels, signed_offsets
from ..emerdiff_ops.schedule import TRAINING_STEPS, nearest_timestep, noise_for
from . import host, inputs
from .types import DifferenceMaps, DifferenceMapsType, LowResMasksType, TrajectoryType

PAIRS_DECODED_AT_ONCE = 4


def modulate_attention(
    model,
    vae,
    conditioning,
    trajectory,
    low_res_masks,
    strength=inputs.PAPER_STRENGTH,
    modulation_timestep=0,
    modulation_layer="auto",
    inject_attention=True,
    rows=None,
) -> DifferenceMaps:
    """How much every pixel changes when the UNet is pushed along each mask: d_i = || I_i^- - I_i^+ ||_2.

    `rows` bounds the batch of one UNet evaluation, the unmodulated run counted in; None: what fits in memory.
    """
    host.check_unet(model)
    layer = host.find_layer(model, modulation_layer, last=True)
    check_trajectory(model, trajectory, low_res_masks)
    levels = modulation_levels(trajectory.timesteps, start_timestep(trajectory.timesteps, modulation_timestep))
    noise = noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps)
    masks = masks_on_grid(low_res_masks.masks, host.grid_of(model, layer, trajectory.latent.shape[-2:]))
    images, segments = masks.shape[:2]
    variants = (rows or host.rows_that_fit(model, trajectory.latent.shape[-2:])) - 1
    chunks, decodes = math.ceil(2 * segments / variants), math.ceil(segments / PAIRS_DECODED_AT_ONCE)
    progress = host.Progress(images * (chunks * len(levels) + decodes))
    sigmas = [host.sigma_of(model, level) for level in levels]

    def evaluate(predict, x, sigma, offsets):
        denoised = predict(x, sigma, host.Modulation(layer, offsets, inject_attention))
        progress.step()
        return denoised

    maps = []
    for index in range(images):
        latent = trajectory.latent[index : index + 1]
        noises = [noise[level][index : index + 1] for level in levels]
        offsets = signed_offsets(masks[index], strength)
        finals = lift(model, conditioning, latent, noises, sigmas, offsets, variants, evaluate)
        maps.append(difference_maps(vae, finals, trajectory.working_size, progress))
    return DifferenceMaps(torch.stack(maps), trajectory.image_size)


def lift(model, conditioning, latent, noises, sigmas, offsets, variants, evaluate) -> torch.Tensor:
    """Final latents [2K, c, h', w'] of every variant of one image, in chunks of at most `variants`."""

    def work(x0, predict):
        eps = [noise.to(x0) for noise in noises]
        denoise = partial(evaluate, predict)
        chunks = in_chunks(offsets.to(x0), variants)
        return torch.cat([modulated_denoising(denoise, x0, eps, sigmas, chunk).cpu() for chunk in chunks])

    return host.run_session(model, conditioning, latent, work)


def difference_maps(vae, finals, size, progress) -> torch.Tensor:
    """d_i [K, H, W] of final latents [2K, ...]: all of c = -lambda, then all of c = +lambda, decoded pair by pair."""
    maps = []
    for pair in zip(*(half.split(PAIRS_DECODED_AT_ONCE) for half in finals.chunk(2)), strict=True):
        minus, plus = host.decode(vae, torch.cat(pair), size).chunk(2)
        maps.append(pair_difference(minus, plus))
        progress.step()
    return torch.cat(maps)


def start_timestep(grid, modulation_timestep: int) -> int:
    """t_m: the paper's for 0, else the nearest of the trajectory's timesteps; says so when it had to move."""
    if not 0 <= modulation_timestep < TRAINING_STEPS:
        raise ValueError(
            f"modulation_timestep must be between 0 and 999, not {modulation_timestep}; the paper uses 281"
        )
    asked = modulation_timestep or inputs.PAPER_TIMESTEP
    start = nearest_timestep(asked, grid)
    if modulation_timestep and start != asked:
        host.log.warning("modulation_timestep %d is not on the trajectory; %d is used.", asked, start)
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
                TrajectoryType.Input("trajectory", tooltip="From the same EmerDiff Extract Features as the masks."),
                LowResMasksType.Input("low_res_masks", tooltip="From EmerDiff Cluster Features."),
                inputs.preset(),
                io.Float.Input(
                    "strength",
                    default=inputs.PAPER_STRENGTH,
                    min=0.01,
                    max=1000.0,
                    step=0.5,
                    advanced=True,
                    tooltip="lambda: how hard the UNet is pushed. The paper's 10 suits SD1.x; too much spills over.",
                ),
                io.Int.Input(
                    "modulation_timestep",
                    default=0,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="t_m: the timestep that is pushed, snapped to the trajectory's; 0 = the preset's own "
                    "(281 in the paper). 281 to 481 is best; larger costs more steps.",
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
                strength,
                modulation_timestep,
                modulation_layer,
                inject_attention,
            )
        )
