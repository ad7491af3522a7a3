"""coarse mask -> pixel-accurate mask: any MASK competes with the rest of the picture, by modulation or features."""

from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...emerdiff_ops.borders import ROUGH
from ...emerdiff_ops.difference import gaussian_smooth, resize_maps
from ...emerdiff_ops.grid import grid_over, masks_on_grid
from ...emerdiff_ops.guided import guided_filter, radius_of
from ...emerdiff_ops.lifting import contenders, contest, kappa, shared_out, with_peaks_of, with_prior
from ...emerdiff_ops.modulation import PRESETS
from ...emerdiff_ops.rough import likeness_to_masks
from ...emerdiff_ops.segments.labels import deal_out
from ..host import unet
from ..host.memory import PROCESSOR
from ..host.progress import Progress
from .belongs import check_belongs, check_kind, check_same_pictures
from .checks import check_mask, check_model, is_flat, pictures_of
from .cluster import cluster_features
from .extract import ROBUST, invert, read_features
from .modulate import Maps, Push, maps_of_pictures, workplace
from .presets import check_suits
from .values import Features, LowResMasks, Size, Source, Trajectory, size_of

RIVALS = 4  # segments of the rest of the picture that a mask competes with; more gain nothing (docs/measured/tools.md)


class Lifted(NamedTuple):
    soft: Tensor  # the response of every pixel to each mask, 0..1: [B * N, H, W]
    elsewhere: list[int]  # masks whose result agrees with the rough mask no better than chance


class Known(NamedTuple):
    """What is known of the pictures: the outputs of Extract Features, or the settings to read them now."""

    seed: int = 0
    resolution: int = 0
    features: Features | None = None
    trajectory: Trajectory | None = None


NOTHING_YET = Known()


def lift_mask(source: Source, image, mask, push: Push, known: Known = NOTHING_YET, smoothing=1.0) -> Lifted:
    """N masks a picture, at its size. Each competes with its complement, the others and segments of the rest."""
    check_model(source.model)
    check_suits(source.model, push.preset)
    pushes = PRESETS[push.preset].lifts
    if pushes:
        unet.find_layer(source.model, push.layer, last=True)  # refuses an unknown one before the work
    masks = deal_out(check_mask(mask), len(image))  # [B, N, any, any]
    features, trajectory = read_where_unknown(source, image, known)
    cells = unet_grid(source, trajectory, push) if pushes else features.grid.cells
    weights = on_grid(masks, trajectory, cells).to(features.features.device)  # [B, N, h, w]
    clusters = clusters_on_grid(features, weights.shape[-2:])
    some = [varied(each) for each in masks]  # each picture's masks to lift: those that fill up a batch are empty
    meant = weights if pushes else by_features(features, weights)
    contending = [contenders(own[which], rest) for own, which, rest in zip(meant, some, clusters, strict=True)]
    counts = tuple(map(len, contending))
    low_res_masks = LowResMasks(pad_sequence(contending, batch_first=True), features.latent_size, counts)
    alone = push._replace(prior=False)
    pictures = maps_of_pictures(source, trajectory, low_res_masks, alone, Progress("steps"), image=image)
    place = workplace(source.model.load_device, trajectory.working_size, trajectory.image_size)
    soft = []
    for maps, own, rough, which, picture in zip(pictures, weights, masks, some, pictures_of(image), strict=True):
        work = partial(lifted, maps, own[which], rough[which], picture, smoothing, 2 + clusters.shape[1])
        soft.append(resize_maps(rough, trajectory.image_size).clone())
        soft[-1][which] = place.run(work)
    return Lifted(torch.cat(soft), out_of_place(torch.cat(soft), masks.flatten(0, 1)))


def varied(masks: Tensor) -> list[int]:
    """Numbers of the masks [N, any, any] that are not the same everywhere; the first one where all are."""
    return [number for number, each in enumerate(masks) if not is_flat(each)] or [0]


def read_where_unknown(source: Source, image, known: Known) -> tuple[Features, Trajectory]:
    """Features and trajectory of the pictures; computes only those that did not come in."""
    seed, resolution, features, trajectory = known
    if features is not None:
        check_kind(features, Features)
    if trajectory is None:
        trajectory = invert(source, image, seed, resolution, enlarge=ROBUST.enlarge)
    check_kind(trajectory, Trajectory)
    check_belongs(image, trajectory.shape, trajectory.pictures)
    if features is None:
        features = read_features(source, trajectory, ROBUST)
    check_same_pictures(features, trajectory)
    return features, trajectory


def lifted(maps: Maps, weights: Tensor, rough: Tensor, picture: Tensor, smoothing: float, rivals: int, device):
    """Soft masks [N, H, W] of one picture, on the processor, from the maps of all contenders of each mask."""
    smooth = (gaussian_smooth(each, smoothing) for each in maps(device))
    response = torch.cat([contest(torch.stack(list(islice(smooth, rivals))), 1) for _ in weights])
    return decided(response, weights.to(device), rough.to(device), picture.to(device)).to(PROCESSOR)


def decided(response: Tensor, weights: Tensor, rough: Tensor, picture: Tensor) -> Tensor:
    """Soft masks [N, H, W] at the picture's size from the response [N, h', w'] and the weights [N, h, w]."""
    size = size_of(response)
    came_in = resize_maps(rough.float(), size)
    along = guided_filter(torch.cat([response, came_in]), picture, radius_of(ROUGH, size))  # [2 * N, h', w']
    followed, prior = along.clamp(0, 1).chunk(2)
    return shared_out(with_prior(followed, with_peaks_of(prior, came_in)), weights)


def out_of_place(soft: Tensor, masks: Tensor) -> list[int]:
    """Numbers of the masks [N, any, any] whose results [N, H, W] agree with them no better than chance."""
    rough = resize_maps(masks, size_of(soft))
    varied = rough.flatten(1).amax(1) > rough.flatten(1).amin(1)
    return ((kappa(soft > 0.5, rough > 0.5) <= 0) & varied).nonzero().flatten().tolist()


def unet_grid(source: Source, trajectory: Trajectory, push: Push) -> Size:
    """The grid of the layer that is pushed."""
    return unet.grid_of(source.model, unet.find_layer(source.model, push.layer, last=True), trajectory.latent_size)


def on_grid(masks: Tensor, trajectory: Trajectory, cells: Size) -> Tensor:
    """The share of each grid cell that each mask covers: [B, N, h, w]."""
    grid = grid_over(cells, trajectory.latent_size, trajectory.working_size)
    return torch.stack([grid.shares(each) for each in masks])


def by_features(features: Features, weights: Tensor) -> Tensor:
    """The mean of each mask on the grid and of the likeness of each cell's features to its inside: [B, N, h, w].

    Either alone is worse on some kind of rough mask; the mean is worse on none (docs/measured/tools.md).
    """
    pairs = zip(features.features, weights, strict=True)
    return torch.stack([(likeness_to_masks(own, each) + each) / 2 for own, each in pairs])


def clusters_on_grid(features: Features, grid) -> Tensor:
    """Clusters of every picture's features on a grid, [B, R, h, w]; R < RIVALS where fewer features are distinct."""
    distinct = min(len(each.flatten(0, 1).unique(dim=0)) for each in features.features)
    return masks_on_grid(cluster_features(features, min(RIVALS, distinct)).masks, grid)
