"""Everything outside the network: seconds and the most memory of each step, beside the network's own."""

import gc
import itertools
from collections.abc import Callable, Iterator
from functools import partial

import torch
from emerdiff.emerdiff_ops.segments.labels import empty_masks, fill_masks
from emerdiff.nodes.results import segmentation_result
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.exchange import bounding_boxes, segs_of_pictures
from emerdiff.nodes.steps.extract import ROBUST, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.merge import merge_alike
from emerdiff.nodes.steps.modulate import Push
from emerdiff.nodes.steps.pick import pick_by_points
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import Segmentation, Source
from torch.nn.functional import interpolate

from measure.jobs import scene_image
from measure.tables import markdown
from measure.timing import PRECISIONS, peak, reset_peak, seconds_of
from reference import full_size
from small_model import small_flux, small_sd

SIZES = ((512, 512), (1024, 1024), (2000, 3000), (4096, 4096))  # height, width
SEGMENTS = (20, 60)
FRAMES, FRAME = 200, (720, 1280)  # of a clip that is clicked in

Step = tuple[str, Callable[[], object]]


def outside(options) -> str:
    """The small Flux at 1024 pixels, Lift Mask by the small Stable Diffusion at 512; no preset that lifts."""
    dtype = PRECISIONS[options.precision]
    flux, sd = Source(*small_flux.load(dtype)), Source(*small_sd.load(dtype))
    lines = []
    for size, count in itertools.product(SIZES, SEGMENTS):
        for step in measured(steps(flux, sd, size, count)):
            lines.append([f"{size[1]} x {size[0]}", count, *step])
            print(*lines[-1], flush=True)
    clip = f"{FRAMES} of {FRAME[1]} x {FRAME[0]}"
    lines += [[clip, SEGMENTS[0], *step] for step in measured(clicks())]
    return markdown(network(dtype), ["picture", "segments", "step", "seconds", "MiB"], lines)


def network(dtype: torch.dtype) -> str:
    """What a draft asks of the network at Stable Diffusion 1.5's full size."""
    source, image = Source(*full_size.load(dtype)), scene_image(512)
    seconds = seconds_of(partial(extract_features, source, image, resolution=512, reading=ROBUST))
    return f"Reading a picture of 512 pixels at Stable Diffusion 1.5's full size, random weights: {seconds:.1f} s."


def measured(named: Iterator[Step]) -> Iterator[tuple[str, str, str]]:
    """Each step, its seconds, run once, and the most MiB above what was held before."""
    for name, step in named:
        gc.collect()
        before = reset_peak()
        yield name, f"{seconds_of(step):.2f}", f"{(peak() - before) / 2**20:.0f}"


def steps(flux: Source, sd: Source, size: tuple[int, int], count: int) -> Iterator[Step]:
    """Each step of a draft of one picture, and of what is done with it."""
    noise = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    image = interpolate(noise, size, mode="bicubic").clamp(0, 1).movedim(1, -1)
    features, trajectory = extract_features(flux, image, reading=ROBUST)
    low_res_masks = cluster_features(features, count, restarts=1)
    yield "clusters", partial(cluster_features, features, count)
    yield "as many clusters as it has", partial(cluster_features, features, 0)
    made: list[Segmentation] = []
    draft = partial(segment_pictures, flux, image, trajectory, low_res_masks, "draft")
    yield "borders and label map", lambda: made.append(draft())
    (segmentation,) = made
    yield "label image, numbers", partial(segmentation_result, segmentation, make_masks=False)
    masks = empty_masks(count, *size)
    fill_masks(segmentation.labels[0], masks)
    yield "masks", lambda: fill_masks(segmentation.labels[0], empty_masks(count, *size))
    yield "Merge Segments", partial(merge_alike, segmentation, features, 8)
    yield "Bounding Boxes", partial(bounding_boxes, masks, image)
    yield "To SEGS, with the picture", partial(segs_of_pictures, segmentation, image)
    yield "Select Segments, first run", partial(select, segmentation, image, "")
    yield "Select Segments, a click", partial(select, segmentation, image, "3")
    point = f'[{{"x": {size[1] // 2}, "y": {size[0] // 2}}}]'
    yield "Pick by Points", partial(pick_by_points, features, trajectory, image, point, "")
    known = Known(0, 0, *extract_features(sd, image, reading=ROBUST))
    yield "Lift Mask, draft", partial(lift_mask, sd, image, masks[:1], Push("draft", relative=True), known)


def clicks() -> Iterator[Step]:
    """A clip whose frames all differ, opened and clicked in."""
    cells = torch.arange(SEGMENTS[0]).view(1, 1, 4, 5).float().repeat(FRAMES, 1, 1, 1)
    labels = interpolate(cells, FRAME, mode="nearest")[:, 0].short()
    noise = torch.rand(FRAMES, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    clip = interpolate(noise, FRAME, mode="bilinear").movedim(1, -1).contiguous()
    segmentation = Segmentation(labels, SEGMENTS[0])
    yield "Select Segments, first run", partial(select, segmentation, clip, "")
    yield "Select Segments, a click", partial(select, segmentation, clip, "3")


def select(segmentation: Segmentation, image: torch.Tensor, selection: str):
    return EmerDiffSelectSegments.execute([segmentation], [selection], image=[image])
