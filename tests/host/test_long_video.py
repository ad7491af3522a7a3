"""A long video is held once: what its draft and what is picked in it cost beside the pictures that come out."""

import gc
from pathlib import Path

import pytest
import torch
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.extract_features import EmerDiffExtractFeatures
from emerdiff.nodes.modulate_and_assemble import EmerDiffModulateAndAssemble
from emerdiff.nodes.select_segments import EmerDiffSelectSegments

from measure.timing import peak, reset_peak

pytestmark = pytest.mark.once
FRAMES, SIDE, SEGMENTS = 24, 512, 3


def segmented(small, image):
    """What a video's workflow makes of pictures: label image, mask and overlay."""
    features, trajectory = EmerDiffExtractFeatures.execute(*small, image, 0, 128, mirrored=False).result
    low_res = EmerDiffClusterFeatures.execute(features, SEGMENTS, 0, shared_clusters=True, restarts=1).result[0]
    given = trajectory, low_res, "draft"
    _, segmentation, label_image = EmerDiffModulateAndAssemble.execute(*small, image, *given, make_masks=False).result
    selected = EmerDiffSelectSegments.execute([segmentation], ["0"], image=[image], every_picture=[True])
    return label_image, selected.result[0][0], selected.result[1][0]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to read the peak of memory")
def test_a_video_costs_little_beside_what_comes_out(small):
    """Less than the pictures once more."""
    noise = torch.rand(FRAMES, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.interpolate(noise, (SIDE, SIDE), mode="bilinear").movedim(1, -1).contiguous()
    segmented(small, image[:1])
    gc.collect()
    before = reset_peak()
    results = segmented(small, image)
    above, held = (peak() - before) / 1e6, sum(each.nbytes for each in results) / 1e6
    print(f"{above:.0f} MB above the start, {held:.0f} of them what comes out")
    assert above < held + image.nbytes / 1e6
