"""low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff (paper, sec. 3)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...emerdiff_ops.borders import Look, drafted, weighted
from ...emerdiff_ops.difference import difference_maps, evened
from ...emerdiff_ops.grid import Grid, grid_over, masks_on_grid
from ...emerdiff_ops.modulation import (
    PRESETS,
    RELATIVE,
    in_chunks,
    modulated_denoising,
    modulation_levels,
    variant_offsets,
)
from ...emerdiff_ops.schedule import TRAINING_STEPS, nearest_timestep, noise_for
from ...emerdiff_ops.segments.colors import colorize
from ...emerdiff_ops.segments.labels import masks_to_labels
from ..host import hooks, unet
from ..host.latents import decoding_weight
from ..host.memory import RowsAtOnce, Workplace, room_to_spare
from ..host.network import sigma_of
from ..host.progress import Progress
from ..host.session import run_session
from .belongs import check_together
from .checks import check_predicted, check_source
from .presets import check_suits
from .read_out import READOUTS, guide_of
from .values import DifferenceMaps, LowResMasks, Size, Source, Trajectory, size_of

log = logging.getLogger("EmerDiff")

FIRST_LEVEL = 0.5  # of a later level's cost, because the first runs half the UNet on a single row
BORDERS = 0.02  # assumed cost of a map along the picture's borders against a row of the UNet, until one has run
# For each pixel, while one map is made: picture, windows' colours and fits at working size, then at the picture's own
BYTES_AT_WORK, BYTES_AT_END = 4 * 60, 4 * 16

Maps = Callable[[torch.device], Iterator[Tensor]]  # the difference maps [H, W] of a picture, made on a device


class Subject(NamedTuple):
    """A picture whose difference maps are made."""

    latent: Tensor  # [1, c, h', w']
    masks: Tensor  # [K, h, w]
    grid: Grid  # of the masks, over the picture at working size
    picture: Tensor | None  # [any, any, 3]; None: as the VAE decodes the latent

    def look(self, vae, progress: Progress) -> Look:
        """The picture whose borders are followed."""
        return Look(guide_of(vae, self.latent, self.grid.working, progress, self.picture), self.grid)


class Push(NamedTuple):
    """How the UNet is pushed along a mask: f(softmax(QK^T / sqrt d) V) + c * M at t_m, c = -strength and +strength."""

    preset: str = "paper"
    strength: float = 10.0  # lambda
    timestep: int = 0  # t_m; 0: the preset's own
    layer: str = "auto"  # the last cross-attention of the coarsest output level that has any
    inject: bool = True  # whether all attention maps are held at the unmodulated run's
    relative: bool = False  # strength is in units of RELATIVE times the layer's output; not with the preset paper
    prior: bool = True  # whether coarse masks weight their maps where the preset says so

    @property
    def is_relative(self) -> bool:
        return self.relative and self.preset != "paper"

    @property
    def size(self) -> float:
        """The size of c: lambda, or a multiple of the layer's output."""
        return self.strength * (RELATIVE if self.is_relative else 1)


PAPER = Push()


def modulate_attention(
    source: Source,
    trajectory: Trajectory,
    low_res_masks: LowResMasks,
    push: Push = PAPER,
    rows: int | None = None,
    preview: bool = False,
    image: Tensor | None = None,
) -> DifferenceMaps:
    """How much every pixel changes when the UNet is pushed along each mask: d_i = || I_i^- - I_i^+ ||_2.

    `rows` bounds the batch of one UNet evaluation, including the unmodulated run; None: what fits in memory.
    `preview` shows the label map as it forms; not for nodes that return pictures, which the front end would hide.
    `image`: the pictures [B, any, any, 3] whose borders some presets follow; None: as the VAE decodes them.
    """
    pictures = maps_of_pictures(source, trajectory, low_res_masks, push, Progress("steps", preview), rows, image)
    place = workplace(source.model.load_device, trajectory.working_size, trajectory.image_size)
    count = low_res_masks.masks.shape[1]
    maps = [place.run(partial(all_of, own, count)) for own in pictures]
    difference = torch.stack([each.to(place.device) for each in maps])
    return DifferenceMaps(difference, trajectory.image_size, *low_res_masks[2:])  # counts, pictures, numbering, gram


def all_of(maps: Maps, count: int, device: torch.device) -> Tensor:
    """The maps of one picture [count, H, W], filled up with empty ones where another has more segments."""
    own = torch.stack(list(maps(device)))
    missing = count - len(own)
    return torch.cat([own, own.new_zeros(missing, *own.shape[1:])]) if missing else own


def workplace(device: torch.device, working: Size, size: Size) -> Workplace:
    """Where maps of pictures are made: on this device, if it has room for one map at a time."""
    return Workplace(device, BYTES_AT_WORK * math.prod(working) + BYTES_AT_END * math.prod(size))


def maps_of_pictures(
    source: Source,
    trajectory: Trajectory,
    low_res_masks: LowResMasks,
    push: Push,
    progress: Progress,
    rows: int | None = None,
    image: Tensor | None = None,
) -> Iterator[Maps]:
    """Yields for every picture a function that makes its difference maps [H, W] on a device; keeps none of them."""
    check_source(source)
    pictures = check_together(source, trajectory, low_res_masks, image)
    check_suits(source.model, push.preset)
    subjects = subjects_of(trajectory, low_res_masks, pictures)
    if not PRESETS[push.preset].lifts:
        return drafts(source.vae, subjects, progress)
    levels = noise_levels(source.model, trajectory, push.timestep, PRESETS[push.preset])
    return lifted(Run(source, subjects, levels, push, progress, rows))


def subjects_of(trajectory: Trajectory, low_res_masks: LowResMasks, pictures: Sequence[Tensor | None]) -> list[Subject]:
    """Each picture with its own latent and masks."""
    grid = grid_over(size_of(low_res_masks.masks), trajectory.latent_size, trajectory.working_size)
    return [Subject(trajectory.of(i), low_res_masks.of(i), grid, picture) for i, picture in enumerate(pictures)]


def drafts(vae, subjects: list[Subject], progress: Progress) -> Iterator[Maps]:
    """The coarse masks of every picture, refined along its borders without modulation."""
    progress.expect("decoding", sum(each.picture is None for each in subjects), decoding_weight(vae))
    progress.expect("borders", 2 * sum(len(each.masks) for each in subjects), BORDERS)
    for subject in subjects:
        yield partial(draft, subject.look(vae, progress), subject.masks, progress)


def draft(look: Look, masks: Tensor, progress: Progress, device: torch.device) -> Iterator[Tensor]:
    """Refines the coarse masks [K, h, w] of one picture along its borders, on a device."""
    return drafted(look.on(device), masks.to(device), partial(progress.step, "borders"), room_to_spare(device))


def lifted(run: Run) -> Iterator[Maps]:
    """The response of every picture to a push along each of its masks."""
    vae, progress, preset = run.source.vae, run.progress, run.preset
    readout, prior = READOUTS[preset.readout], run.push.prior and preset.prior
    looks, counts = readout.guided or prior, [len(each.masks) for each in run.subjects]
    decodings = looks * sum(each.picture is None for each in run.subjects) + sum(map(readout.decodings, counts))
    progress.expect("decoding", decodings, decoding_weight(vae))
    progress.expect("borders", sum(counts), BORDERS)
    for number, subject in enumerate(run.subjects):
        read = partial(readout.maps, vae, run.variants(number))
        look = subject.look(vae, progress) if looks else None
        masks = subject.masks if prior else None
        yield partial(responses, read, look, masks, subject.grid.working, preset.evenness, progress)


def responses(
    read, look: Look | None, masks, size: Size, evenness: float, progress: Progress, device
) -> Iterator[Tensor]:
    """The difference maps of one picture, read on a device, evened out and weighted by coarse masks [K, h, w]."""
    seen = look and look.on(device)
    maps: Iterator[Tensor] = (evened(each[None], evenness)[0] for each in read(seen, size, progress, device))
    if seen and masks is not None:
        maps = weighted(maps, seen, masks.to(device))
    for each in maps:
        yield each
        progress.step("borders")


class Run:
    """The modulated denoising of all pictures: the layer and timestep of the push, and how many rows run at once."""

    def __init__(self, source, subjects, levels, push, progress, rows=None):
        model, latent_size = source.model, size_of(subjects[0].latent)
        self.source, self.push, self.preset, self.progress = source, push, PRESETS[push.preset], progress
        self.subjects, (self.noises, self.sigmas) = subjects, levels
        self.layer = unet.find_layer(model, push.layer, last=True)
        self.rows = RowsAtOnce(model, latent_size, rows)
        grid = unet.grid_of(model, self.layer, latent_size)
        masks = [masks_on_grid(each.masks[None], grid)[0] for each in subjects]
        offsets = [variant_offsets(each, push.size) for each in masks]  # [2K, h*w] a picture
        self.chunks = [list(in_chunks(each, self.rows.most - 1, together=2)) for each in offsets]
        self.expect()
        self.forming = torch.zeros(max(map(len, masks)), *latent_size)  # difference maps so far

    def expect(self) -> None:
        """Counts the rows that will go through the UNet; every chunk includes the unmodulated run."""
        rows = sum(len(chunk) + 1 for chunks in self.chunks for chunk in chunks)
        self.progress.expect("first level", rows, FIRST_LEVEL)
        self.progress.expect("later levels", rows * (len(self.sigmas) - 1), 1.0)

    def variants(self, picture: int) -> Tensor:
        """Final latents [1 + V, c, h', w'] of one picture: the unmodulated run's, then every variant's."""
        self.forming.zero_()
        chunks = self.chunks[picture]

        def work(x0, predict):
            noises = [noise[picture : picture + 1].to(x0) for noise in self.noises]
            finals, first = [], 0
            for chunk in chunks:
                denoise = partial(self.denoise, predict, first)
                steps = noises, self.sigmas, chunk.to(x0), self.preset.deterministic
                finals.append(modulated_denoising(denoise, x0, *steps))
                first += len(chunk)
            return torch.cat([finals[0], *(each[1:] for each in finals[1:])])

        rows = min(self.rows.most, 1 + max(map(len, chunks)))
        latent = self.subjects[picture].latent
        return check_predicted(run_session(self.source.model, self.source.conditioning, latent, work, rows))

    def denoise(self, predict, first: int, x: Tensor, sigma: float, offsets: Tensor | None) -> Tensor:
        """One level of all rows x [rows, c, h', w']; every part of them includes the unmodulated row 0.

        `first` is the number of the variant in row 1.
        """

        def part(rows: range) -> Tensor:
            chosen = [0, *(row + 1 for row in rows)]
            some = None if offsets is None else offsets[chosen]
            return predict_pushed(predict, self.layer, self.push, x[chosen], sigma, some)

        parts = self.rows.in_parts(part, len(x) - 1, riding=1)
        denoised = torch.cat([parts[0], *(each[1:] for each in parts[1:])])
        maps = difference_maps(denoised[1:], axis=1)
        self.forming[first // 2 : first // 2 + len(maps)] = maps.cpu()  # waits for the device, for a true time left
        kind = "later levels" if offsets is None else "first level"
        self.progress.step(kind, len(denoised), self.picture)
        return denoised

    def picture(self) -> Tensor:
        """The label map as far as it has formed, in colour [h', w', 3]."""
        return colorize(masks_to_labels(self.forming[None]))[0]


def predict_pushed(predict, layer, push: Push, x: Tensor, sigma: float, offsets: Tensor | None) -> Tensor:
    """One evaluation of rows that share row 0's attention maps, offset at the layer where offsets are given."""
    return predict(x, sigma, hooks.Modulation(layer, offsets, push.inject, len(x), push.is_relative))


def noise_levels(model, trajectory: Trajectory, modulation_timestep: int, preset) -> tuple[list[Tensor], list[float]]:
    """The sampled eps [B, c, h', w'] and the sigma of every level from t_m down."""
    start = start_timestep(trajectory.timesteps, modulation_timestep, preset.timestep)
    levels = modulation_levels(trajectory.timesteps, start, preset.steps)
    # Of timesteps that share a noise level in the model (LCM has 50), only the first: no step leads between them.
    steps = {sigma_of(model, level): level for level in reversed(levels)}
    noise = noise_for(trajectory.latent.shape, trajectory.seed, trajectory.timesteps, set(steps.values()))
    sigmas = sorted(steps, reverse=True)
    return [noise[steps[sigma]] for sigma in sigmas], sigmas


def start_timestep(grid: tuple[int, ...], modulation_timestep: int, own: int) -> int:
    """t_m: the preset's own for 0, else the trajectory's nearest timestep; warns where that is another one."""
    if not 0 <= modulation_timestep < TRAINING_STEPS:
        raise ValueError(
            f"modulation_timestep must be between 0 and 999, not {modulation_timestep}; the paper uses 281"
        )
    start = nearest_timestep(modulation_timestep or own, grid)
    if modulation_timestep and start != modulation_timestep:
        log.warning("modulation_timestep %d is not on the trajectory; %d is used.", modulation_timestep, start)
    return start
