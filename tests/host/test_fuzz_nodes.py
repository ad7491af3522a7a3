"""Every number that a node's schema allows: masks of the right size and values, or a refusal in a sentence.

Nodes, inputs and ranges are read from the schemas, so that a new one is tried too.
"""

import asyncio

import pytest
import torch
from emerdiff.nodes import EmerDiffExtension
from emerdiff.nodes.assemble_masks import EmerDiffAssembleMasks
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.modulate_attention import EmerDiffModulateAttention
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from comfyui.in_process import execute
from refusals import refused
from small_model.model import load_clip

pytestmark = pytest.mark.once
CHEAP = ("fast", "balanced")  # presets; the others take four times as long and differ by their steps
SIZES = [(1, 64, 64), (2, 65, 79)]  # pictures, height, width
TEXTS = {
    "selection": ["", "0", "0-1", "1; 0", "9", "x", "0:3:5", "0:999:0"],
    "correction": ["", "none.png", "../a.png", "a.png; ; b.png"],
    "text": ["star", "star, disc", ""],
    "filename_prefix": ["value", "a/b"],
    "feature_layer": ["auto", "middle 0", "output 3.0", "output 99", "\u0663", "x" * 80],
    "modulation_layer": ["auto", "input 3", "OUTPUT  4", "", "output -1"],
    "positive_points": ["", '[{"x": 3, "y": 63.9}]', '[{"x": 1e9, "y": NaN}]'],
    "boxes": ["", '[{"x": 5, "y": 6, "width": 20, "height": 30}]', "[1, 2"],
    "counter_words": ["", "background", "ground, sky"],
    "negative_points": ["", '[{"x": 0, "y": 0}]', "["],
}
EXAMPLES = {"EmerDiffSelectByText": 4, "EmerDiffLiftMask": 5, "EmerDiffModulateAttention": 6}  # of the slow nodes


def nodes():
    return {node.define_schema().node_id: node for node in asyncio.run(EmerDiffExtension().get_node_list())}


NODES = nodes()


@pytest.fixture(scope="module")
def wires(small):
    """By size: everything a link can carry, of one picture or batch."""
    model, vae, conditioning = small

    def of(pictures, height, width):
        image = torch.rand(pictures, height, width, 3, generator=torch.Generator().manual_seed(height))
        features, trajectory = extract_features(Source(model, vae, conditioning), image, steps=50)
        masks = cluster_features(features, 3)
        maps = modulate_attention(Source(model, vae, conditioning), trajectory, masks, Push("fast"))
        segmentation = assemble_masks(maps)
        return {
            "MODEL": model, "VAE": vae, "CONDITIONING": conditioning, "CLIP": load_clip(), "IMAGE": image,
            "MASK": (image[..., 0] > 0.6).float(), "EMERDIFF_FEATURES": features, "EMERDIFF_TRAJECTORY": trajectory,
            "EMERDIFF_LOW_RES_MASKS": masks, "EMERDIFF_DIFFERENCE_MAPS": maps, "EMERDIFF_SEGMENTATION": segmentation,
        }  # fmt: skip

    with torch.inference_mode():
        return {size: of(*size) for size in SIZES}


def kind_of(declared) -> str:
    """The type of an input; of one whose type is that of what comes in, all that may come."""
    matched = getattr(declared, "template", None)
    return ",".join(each.io_type for each in matched.allowed_types) if matched else declared.get_io_type()


def value_of(draw, declared, wires):
    """A value that the host would let through to this input."""
    kind, name = kind_of(declared), declared.id
    if name == "resolution":  # a picture is enlarged as far as one asks
        return draw(st.sampled_from([declared.min, 8, 64, 136]))
    if kind == "INT":
        ends = [declared.min, declared.max, declared.default]
        return draw(st.sampled_from(ends) | st.integers(declared.min, declared.max))
    if kind == "FLOAT":
        ends = [declared.min, declared.max, declared.default, declared.min + 1e-9]
        return draw(st.sampled_from(ends) | st.floats(declared.min, declared.max, allow_subnormal=False))
    if kind == "BOOLEAN":
        return draw(st.booleans())
    if kind == "COMBO":
        options = declared.options
        return draw(st.sampled_from([each for each in options if name != "preset" or each in CHEAP]))
    if "STRING" in kind.split(","):
        return draw(st.sampled_from(TEXTS[name]))
    return wires[draw(st.sampled_from([each for each in kind.split(",") if each in wires]))]


def values_of(draw, node, wires):
    """Values of every required input, and of some optional ones."""
    declared = [each for each in node.define_schema().inputs if {*kind_of(each).split(",")} & {*wires, *WIDGETS}]
    chosen = [each for each in declared if not each.optional or draw(st.booleans())]
    return {each.id: value_of(draw, each, wires) for each in chosen}


# See test_fuzz_files.py; of any type, and only inside EmerDiff Segment Image (see tests/server/test_lists.py).
OTHERS = ("EmerDiffLoad", "EmerDiffCheck", "EmerDiffEach", "EmerDiffGather")
FUZZED = [name for name in NODES if name not in OTHERS]
WIDGETS = ("INT", "FLOAT", "BOOLEAN", "COMBO", "STRING")


def check_output(kind, value, size):
    if kind == "MASK" and torch.is_tensor(value):
        assert value.ndim == 3 and len(value) >= 1 and tuple(value.shape[1:]) == size[1:]
        assert value.dtype == torch.float32 and value.amin() >= 0 and value.amax() <= 1  # false for NaN
    if kind == "IMAGE" and torch.is_tensor(value):
        assert value.ndim == 4 and tuple(value.shape[1:3]) == size[1:] and value.shape[-1] in (3, 4)
        assert value.amin() >= -1e-6 and value.amax() <= 1 + 1e-6


@pytest.mark.parametrize("name", FUZZED)
def test_any_numbers_within_the_declared_ranges(name, wires, folders):
    node, done = NODES[name], []

    @given(st.data())
    @settings(
        max_examples=EXAMPLES.get(name, 14),
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    def check(data):
        size = data.draw(st.sampled_from(SIZES))
        output = refused(lambda: execute(node, **values_of(data.draw, node, wires[size])))
        if output is None or output.expand is not None:
            return
        done.append(output)
        for declared, value in zip(node.define_schema().outputs, output.result, strict=True):
            check_output(declared.io_type, value, size)

    check()
    assert done or name == "EmerDiffSegmentImage", "every value was refused"


def test_every_kind_of_input_is_drawn(wires):
    kinds = {kind_of(each) for name in FUZZED for each in NODES[name].define_schema().inputs}
    known = {*WIDGETS, *wires[SIZES[0]]}
    assert all({*kind.split(",")} & known for kind in kinds - {"BOUNDING_BOX,BBOX"})


@pytest.mark.parametrize("segments", [1, 64])
def test_one_segment_and_as_many_as_the_grid_has_cells(small, wires, segments):
    some = wires[1, 64, 64]
    masks = EmerDiffClusterFeatures.execute(some["EMERDIFF_FEATURES"], segments, 0).result[0]
    maps = EmerDiffModulateAttention.execute(*small, some["EMERDIFF_TRAJECTORY"], masks, "fast").result[0]
    output = EmerDiffAssembleMasks.execute(maps).result[0]
    check_output("MASK", output, (1, 64, 64))
    assert len(output) == segments and torch.equal(output.sum(0), torch.ones(64, 64))


@pytest.mark.parametrize("push", [Push("paper", 1000.0, 41), Push("balanced", 0.01)])
def test_the_ends_of_strength_under_the_other_presets(small, wires, push):
    some = wires[1, 64, 64]
    check_output("MASK", lift_mask(small, some["IMAGE"], some["MASK"], push, Known(0, 64)).soft, (1, 64, 64))


@pytest.mark.parametrize("shape", [(0, 64, 64), (1, 0, 64), (0, 0, 0)], ids=str)
def test_masks_without_rows_or_pixels_are_refused(small, wires, shape):
    image = wires[1, 64, 64]["IMAGE"]
    for refuse in (NODES["EmerDiffBoundingBoxes"].execute, lambda mask: lift_mask(small, image, mask, Push("fast"))):
        with pytest.raises(ValueError, match="no rows or no pixels"):
            refuse(torch.zeros(shape))
