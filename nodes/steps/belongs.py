"""Refuses, before any work, values of earlier steps that are of another kind, other pictures or another model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...emerdiff_ops.files.digest import digest
from ..host import network
from ..host.latents import pixels_per_cell
from ..host.progress import show_notes
from .checks import check_latent, pictures_of
from .values import DifferenceMaps, Features, LowResMasks, Segmentation, Source, Trajectory, size_of

KINDS_IN_WORDS = {
    Features: "features",
    Trajectory: "a trajectory",
    LowResMasks: "low-resolution masks",
    DifferenceMaps: "difference maps",
    Segmentation: "a segmentation",
}
OTHER_PICTURE = (
    "the image is not the one that the features were read of: its borders may not be theirs. If you did not mean that, "
    "connect the image of EmerDiff Extract Features"
)


def check_belongs(image: Tensor, shape: Sequence[int], read: str | None = None) -> Tensor:
    """IMAGE as `pictures_of` gives it; ValueError unless its shape is the given [B, H, W].

    `read` is the digest of the pictures that were read. Others are accepted, because somebody may have retouched them,
    but a note says so.
    """
    pictures = pictures_of(image)
    if tuple(pictures.shape[:3]) != tuple(shape):
        count, height, width = shape
        raise ValueError(
            f"image is {tuple(image.shape[:3])}, but {count} pictures of {width} x {height} were segmented; "
            "connect the image that was segmented, or none"
        )
    if read and digest(pictures) != read:
        show_notes([OTHER_PICTURE])
    return pictures


def pictures_under(image, shape: tuple[int, int, int], read: str | None = None) -> Sequence[Tensor | None]:
    """The pictures [H, W, 3] of this shape [B, H, W] by `check_belongs`, or None for each where no image came in."""
    return [None] * shape[0] if image is None else [*check_belongs(image, shape, read)]


def check_together(
    source: Source, trajectory: Trajectory, low_res_masks: LowResMasks, image: Tensor | None
) -> Sequence[Tensor | None]:
    """`pictures_under` of the trajectory's pictures; ValueError unless all belong together."""
    check_kind(trajectory, Trajectory)
    check_kind(low_res_masks, LowResMasks)
    check_trajectory(source, trajectory)
    check_masks(trajectory, low_res_masks)
    return pictures_under(image, trajectory.shape, trajectory.pictures)


def check_trajectory(source: Source, trajectory: Trajectory) -> None:
    """ValueError unless it suits the model and the VAE."""
    name = network.latent_format_name(source.model)
    check_latent(source.model, trajectory.latent, "the trajectory's")
    if trajectory.latent_format != name:
        raise ValueError(
            f"the trajectory was made with another kind of model ({trajectory.latent_format}, not {name}); "
            "run EmerDiff Extract Features with this model"
        )
    covered = [pixels_per_cell(source.vae) * cells for cells in trajectory.latent_size]
    if any(side > most for side, most in zip(trajectory.working_size, covered)):
        raise ValueError(
            f"the trajectory's latents stand for {covered[1]} x {covered[0]} pixels and its picture is "
            f"{trajectory.working_size[1]} x {trajectory.working_size[0]}: run EmerDiff Extract Features again"
        )


def check_masks(trajectory: Trajectory, low_res_masks: LowResMasks) -> None:
    """ValueError unless both are of the same pictures."""
    if low_res_masks.latent_size != trajectory.latent_size:
        raise ValueError(
            f"the masks were made for latents of {low_res_masks.latent_size}, the trajectory has "
            f"{trajectory.latent_size}; take both from one EmerDiff Extract Features"
        )
    if len(low_res_masks.masks) != len(trajectory.latent):
        raise ValueError(
            f"masks of {len(low_res_masks.masks)} images, but a trajectory of {len(trajectory.latent)}; "
            "take both from one EmerDiff Extract Features"
        )
    check_pictures(trajectory=trajectory, masks=low_res_masks)


def check_same_pictures(features: Features, trajectory: Trajectory) -> None:
    """ValueError unless both are of the same pictures: as many, with latents of the same size."""
    of_features = len(features.features), *features.latent_size
    of_trajectory = len(trajectory.latent), *trajectory.latent_size
    if of_features != of_trajectory:
        raise ValueError(
            f"the features are of {of_features[0]} pictures as latents of {of_features[2]} x {of_features[1]}, the "
            f"trajectory of {of_trajectory[0]} as {of_trajectory[2]} x {of_trajectory[1]}: connect both, from one "
            "EmerDiff Extract Features of these pictures"
        )
    check_pictures(features=features, trajectory=trajectory)


def check_reference(features: Features, reference: Features) -> None:
    """ValueError where the reference is not features, or its width shows another model or layer."""
    check_kind(reference, Features)
    own, width = features.features.shape[-1], reference.features.shape[-1]
    if own != width:
        raise ValueError(
            f"the reference's features are {width} numbers wide, these are {own}: read both with the same model and "
            "feature_layer in EmerDiff Extract Features"
        )


def check_features(features: Features, segmentation: Segmentation) -> None:
    """ValueError where the features are known to be of other pictures than the segmented ones."""
    ours, theirs = features.features, segmentation.labels
    if len(ours) != len(theirs):
        raise ValueError(
            f"features of {len(ours)} pictures, but a segmentation of {len(theirs)}; "
            "connect the features that the segmentation was made from"
        )
    (height, width), (own_height, own_width) = features.working_size or size_of(theirs), size_of(theirs)
    if abs(own_width * height - own_height * width) > (own_width + own_height) / 2:  # both sides were rounded
        raise ValueError(
            f"the features are of a picture of {width} x {height} as the model sees it, the segmentation of one of "
            f"{own_width} x {own_height}: connect the features that the segmentation was made from"
        )
    check_pictures(features=features, segmentation=segmentation)


def check_pictures(**values) -> None:
    """ValueError where two of the named values are known to be of different pictures."""
    known = {name: each.pictures for name, each in values.items() if each.pictures}
    if len(set(known.values())) > 1:
        one, other = list(known)[:2]
        raise ValueError(
            f"the {one} and the {other} are of different pictures: connect both from one EmerDiff Extract Features, "
            "and what was made from it"
        )


def check_kind(value, kind: type) -> None:
    """ValueError where a wire of any type (EmerDiff Load, a reroute) brought a value of another kind."""
    if not isinstance(value, kind):
        raise ValueError(
            f"what came in holds {kind_in_words(type(value))}; this input takes {kind_in_words(kind)}: check which "
            "file EmerDiff Load reads, or what else is connected here"
        )


def kind_in_words(kind: type) -> str:
    return KINDS_IN_WORDS.get(kind, f"{kind.__name__}, which is no value of EmerDiff")
