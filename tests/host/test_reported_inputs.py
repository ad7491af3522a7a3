"""Kinds of faults that users' reports led to: odd pictures and masks, a VAE that fails, values of another kind."""

import asyncio
import copy

import pytest
import torch
from comparing import prepare, smooth_picture
from emerdiff.nodes import EmerDiffExtension
from emerdiff.nodes.bounding_boxes import EmerDiffBoundingBoxes
from emerdiff.nodes.lift_mask import EmerDiffLiftMask
from emerdiff.nodes.select_by_text import EmerDiffSelectByText
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.checks import masks_of, pictures_of
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.lift import lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.segment import segment_pictures
from emerdiff.nodes.steps.values import DifferenceMaps, Features, LowResMasks, Segmentation, Trajectory
from emerdiff.nodes.to_segs import EmerDiffToSEGS

from comfyui.in_process import execute
from small_model.model import load_clip

pytestmark = pytest.mark.once
NODES = {each.define_schema().node_id: each for each in asyncio.run(EmerDiffExtension().get_node_list())}


@pytest.fixture(scope="module")
def picture():
    return smooth_picture(64, 96)


@pytest.fixture(scope="module")
def made(small, picture):
    with torch.inference_mode():
        return prepare(small, picture, 3)


# --- masks ---


@pytest.fixture
def blob():
    mask = torch.zeros(64, 96)
    mask[20:40, 30:60] = 1
    return mask


SHAPES = {
    "H W": lambda mask: mask,
    "1 H W": lambda mask: mask[None],
    "1 1 H W": lambda mask: mask[None, None],
    "1 H W 1": lambda mask: mask[None, ..., None],
    "H W 1": lambda mask: mask[..., None],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_in_any_of_its_shapes_is_one_mask(small, picture, blob, shape):
    mask = SHAPES[shape](blob)
    assert torch.equal(masks_of(mask), blob[None])
    (box,) = EmerDiffBoundingBoxes.execute(masks=mask).result[0][0]
    assert (box["x"], box["y"], box["width"], box["height"]) == (30, 20, 30, 20)
    lifted = EmerDiffLiftMask.execute(*small, picture, mask, "draft", 0).result[0]
    assert lifted.shape == (1, 64, 96)


def test_masks_of_several_pictures_with_a_channel_axis_keep_their_order():
    masks = torch.rand(3, 8, 9)
    assert torch.equal(masks_of(masks[:, None]), masks) and torch.equal(masks_of(masks[..., None]), masks)


@pytest.mark.parametrize("shape", [(1, 64, 96, 3), (1, 3, 64, 96), (2, 1, 1, 64, 96), (64,), ()])
def test_what_is_no_mask_is_refused_in_a_sentence(small, picture, shape):
    for run in (
        lambda mask: EmerDiffBoundingBoxes.execute(masks=mask),
        lambda mask: EmerDiffLiftMask.execute(*small, picture, mask, "fast", 0),
    ):
        with pytest.raises(ValueError, match=r"a MASK is \[masks, height, width\].*Convert Image to Mask"):
            run(torch.ones(shape))


# --- pictures ---


def every_use(small, made, image):
    """Each input that takes an IMAGE, as a function of none."""
    segmentation = Segmentation(torch.zeros(1, 64, 96, dtype=torch.int16), 1)
    maps, mask = DifferenceMaps(torch.rand(1, 2, 32, 48), (64, 96)), torch.ones(1, 64, 96)
    text = {"text": "star", "count": 1, "threshold": 0.0, "seed": 0}
    return {
        "extract": lambda: extract_features(small, image),
        "segment": lambda: segment_pictures(small, image, made.trajectory, made.low_res, "draft"),
        "lift": lambda: EmerDiffLiftMask.execute(*small, image, mask.triu(), "draft", 0),
        "assemble": lambda: assemble_masks(maps, image=image),
        "select": lambda: execute(NODES["EmerDiffSelectSegments"], segmentation=segmentation, image=image),
        "text": lambda: EmerDiffSelectByText.execute(segmentation, small.model, load_clip(), image, small.vae, **text),
        "boxes": lambda: EmerDiffBoundingBoxes.execute(masks=mask, image=image),
        "segs": lambda: EmerDiffToSEGS.execute(segmentation=segmentation, image=image),
    }


USES = ("extract", "segment", "lift", "assemble", "select", "text", "boxes", "segs")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_transparent_pictures_are_taken(small, made, picture, use, channels):
    grey = picture.mean(-1, keepdim=True)
    image = grey.repeat(1, 1, 1, channels) if channels < 3 else torch.cat([picture, grey], -1)
    assert every_use(small, made, image)[use]() is not None


def test_grey_is_the_same_in_every_colour(small, picture):
    grey = picture.mean(-1, keepdim=True)
    ours, _ = extract_features(small, grey)
    colours, _ = extract_features(small, grey.repeat(1, 1, 1, 3))
    assert torch.equal(ours.features, colours.features)
    assert pictures_of(grey).shape == picture.shape


BAD = {
    "no batch axis": (lambda picture: picture[0], r"an IMAGE is \[pictures, height, width, colours\]"),
    "channels first": (lambda picture: picture.movedim(-1, 1), r"an IMAGE is \[pictures, height, width, colours\]"),
    "0 to 255": (lambda picture: 255 * picture, "values from .* an IMAGE has 0 to 1"),
    "-1 to 1": (lambda picture: 2 * picture - 1, "values from -.* an IMAGE has 0 to 1"),
    "NaN": (lambda picture: picture * torch.nan, "NaN or infinite pixels"),
    "no picture": (lambda picture: picture[:0], "holds no picture"),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_picture_is_refused_in_a_sentence(small, made, picture, use, kind):
    spoil, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        every_use(small, made, spoil(picture))[use]()


def test_a_little_beyond_the_range_is_what_resizing_gives(small, picture):
    assert extract_features(small, 1.2 * picture - 0.1)[0] is not None


# --- a VAE or a model that gives NaN ---


def broken(small, *ways):
    """The small model's VAE with one of its ways giving NaN."""
    vae = copy.copy(small.vae)
    for way in ways:
        whole = getattr(small.vae, way)
        setattr(vae, way, lambda *given, whole=whole: whole(*given) * torch.nan)
    return small._replace(vae=vae)


def test_a_vae_that_encodes_to_nan_is_named(small, picture):
    source, mask = broken(small, "encode"), torch.ones(1, 64, 96).triu()
    segmentation = Segmentation(torch.zeros(1, 64, 96, dtype=torch.int16), 1)
    text = {"text": "star", "count": 1, "threshold": 0.0, "seed": 0}
    for run in (
        lambda: extract_features(source, picture),
        lambda: lift_mask(source, picture, mask, Push("fast")),
        lambda: EmerDiffSelectByText.execute(segmentation, source.model, load_clip(), picture, source.vae, **text),
    ):
        with pytest.raises(ValueError, match="the VAE gives NaN .* when it encodes .*--fp32-vae"):
            run()


@pytest.mark.parametrize("preset", ["paper", "balanced"])
def test_a_vae_that_decodes_to_nan_is_named(small, picture, made, preset):
    source, mask = broken(small, "decode"), torch.ones(1, 64, 96).triu()
    for run in (
        lambda: modulate_attention(source, made.trajectory, made.low_res, Push(preset, timestep=21)),
        lambda: segment_pictures(source, picture, made.trajectory, made.low_res, preset),
        lambda: lift_mask(source, picture, mask, Push(preset, timestep=21)),
    ):
        with pytest.raises(ValueError, match="the VAE gives NaN .* when it decodes.*--fp32-vae"):
            run()


@pytest.mark.parametrize("preset", ["fast", "draft"])
def test_presets_that_decode_nothing_need_no_decoder_where_the_picture_is_at_hand(small, picture, made, preset):
    source, mask = broken(small, "decode"), torch.ones(1, 64, 96).triu()
    with pytest.raises(ValueError, match="the VAE gives NaN .* when it decodes.*--fp32-vae"):
        modulate_attention(source, made.trajectory, made.low_res, Push(preset, timestep=21))
    maps = modulate_attention(source, made.trajectory, made.low_res, Push(preset, timestep=21), image=picture)
    assert maps.difference.isfinite().all()
    assert segment_pictures(source, picture, made.trajectory, made.low_res, preset).labels.unique().numel() > 1
    assert lift_mask(source, picture, mask, Push(preset, timestep=21)).soft.isfinite().all()


def test_a_model_that_gives_nan_is_named_and_not_its_vae(small, picture, made):
    model = small.model.clone()
    model.set_model_unet_function_wrapper(
        lambda apply, given: apply(given["input"], given["timestep"], **given["c"]) * torch.nan
    )
    source = small._replace(model=model)
    segmentation = Segmentation(torch.zeros(1, 64, 96, dtype=torch.int16), 1)
    text = {"text": "star", "count": 1, "threshold": 0.0, "seed": 0}
    for run in (
        lambda: modulate_attention(source, made.trajectory, made.low_res, Push("fast")),
        lambda: EmerDiffSelectByText.execute(segmentation, model, load_clip(), picture, small.vae, **text),
    ):
        with pytest.raises(ValueError, match="the model gives NaN .*bf16 or fp32"):
            run()


# --- a value of another kind ---

VALUES = {
    "features": Features(torch.randn(1, 4, 4, 8), (16, 24)),
    "a trajectory": Trajectory(torch.randn(1, 48, 16, 24), 0, (981, 1), (64, 96), (64, 96), "UnshuffledPixels"),
    "low-resolution masks": LowResMasks(torch.ones(1, 1, 4, 6), (16, 24)),
    "difference maps": DifferenceMaps(torch.rand(1, 2, 64, 96), (64, 96)),
    "a segmentation": Segmentation(torch.zeros(1, 64, 96, dtype=torch.int16), 1),
    "Tensor, which is no value of EmerDiff": torch.ones(1, 64, 96),
}
OURS = {
    "EMERDIFF_FEATURES": "features",
    "EMERDIFF_TRAJECTORY": "a trajectory",
    "EMERDIFF_LOW_RES_MASKS": "low-resolution masks",
    "EMERDIFF_DIFFERENCE_MAPS": "difference maps",
    "EMERDIFF_SEGMENTATION": "a segmentation",
}


def inputs_of_ours():
    """(node, input, kind) of every input that takes a value of EmerDiff."""
    for name, node in NODES.items():
        for each in node.define_schema().inputs:
            if each.io_type in OURS and not each.rawLink:  # a link is handed on to a node that says so
                yield name, each.id, OURS[each.io_type]


def given(name, small, picture) -> dict:
    """Whatever else the node needs."""
    inputs = {"model": small.model, "vae": small.vae, "conditioning": small.conditioning, "clip": load_clip()}
    inputs |= {"image": picture, "text": "star", "masks": torch.ones(1, 64, 96)}
    inputs["mask"] = torch.ones(1, 64, 96).triu()
    wanted = {}
    for each in NODES[name].define_schema().inputs:
        if each.io_type in OURS:
            wanted[each.id] = VALUES[OURS[each.io_type]]
        elif each.id in inputs:
            wanted[each.id] = inputs[each.id]
        elif getattr(each, "default", None) is not None:
            wanted[each.id] = each.default
    return wanted


@pytest.mark.parametrize(("name", "slot", "kind"), list(inputs_of_ours()))
def test_a_value_of_another_kind_is_named_with_what_belongs_there(small, picture, name, slot, kind):
    node, inputs = NODES[name], given(name, small, picture)
    for other, value in VALUES.items():
        if other != kind:
            with pytest.raises(ValueError, match=f"holds {other}; this input takes {kind}.*EmerDiff Load"):
                execute(node, **{**inputs, slot: value})
