"""low-resolution masks -> segmentation in one go: modulation and assembly, one difference map held at a time."""

from ...emerdiff_ops.segments.regions import tidied
from ..host.progress import Progress
from .assemble import ASSEMBLY, as_segmentation, label_picture
from .belongs import pictures_under
from .modulate import Push, maps_of_pictures, workplace
from .values import LowResMasks, Segmentation, Source, Trajectory

SPECKS = 0.0002  # of a picture: smaller connected parts are given away, smaller holes filled


def segment_pictures(
    source: Source, image, trajectory: Trajectory, low_res_masks: LowResMasks, preset: str, specks=0.0
) -> Segmentation:
    """Modulation and assembly at their defaults; parts and holes below `specks` of the picture go to neighbours."""
    progress, push = Progress("steps"), Push(preset, relative=True)
    pictures = maps_of_pictures(source, trajectory, low_res_masks, push, progress, image=image)
    under = pictures_under(image, trajectory.shape)
    count = low_res_masks.masks.shape[1]
    progress.expect("assembly", sum(low_res_masks.counts or [count] * len(under)), ASSEMBLY)
    place = workplace(source.model.load_device, trajectory.working_size, trajectory.image_size)
    labels = [
        tidied(label_picture(maps, trajectory.image_size, place, progress, picture), specks, specks)
        for maps, picture in zip(pictures, under, strict=True)
    ]
    return as_segmentation(labels, low_res_masks)
