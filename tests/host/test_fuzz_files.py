"""Saved files of any content: refused in a sentence, or a value that every later node can take."""

import json

import pytest
import torch
from emerdiff.emerdiff_ops.files import safetensors_file
from emerdiff.nodes.assemble_masks import EmerDiffAssembleMasks
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.load import EmerDiffLoad
from emerdiff.nodes.merge_segments import EmerDiffMergeSegments
from emerdiff.nodes.modulate_attention import EmerDiffModulateAttention
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps.saved import from_file
from emerdiff.nodes.steps.values import LowResMasks, Segmentation, Trajectory
from emerdiff.nodes.to_segs import EmerDiffToSEGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from comfyui.in_process import execute
from refusals import refused, valid_files

pytestmark = pytest.mark.once
# The first text drawn on a new machine waits for Hypothesis's table of characters.
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

KINDS = ("features", "trajectory", "low_res_masks", "difference_maps", "segmentation", "segmentation with scores")
FIELDS = "latent_size working_size image_size latent_format count counts emerdiff version seed labels".split()
DEEP = "[" * 100_000
HUGE = "9" * 5000
ODD_JSON = [
    "", "null", "true", "4", "04", "-1", "1e9", "4.0", "4096", "999999999", HUGE, DEEP, "{}", "[]", '"4"', "\u0664",
    "[4]", "[4, 4]", "[4, 4, 4]", "[0, 4]", "[-4, 4]", "[4.0, 4]", "[1e9, 4]", "[true, 4]", "[NaN, 4]", '["4", "4"]',
    f"[{HUGE}, 4]", "[99999999, 99999999]", "[268435456, 1]", '"' + "x" * 5000 + '"', "features", "segmentation", "2",
]  # fmt: skip
ODD_SIDES = st.sampled_from([0, 1, 2, 3, 4, 5, 2**31, 2**62, 2**64, -1, 1.5, "4", None])
DTYPES = ["F32", "F16", "BF16", "F64", "I16", "I32", "I64", "U64", "U8", "BOOL", "C64", "F8_E4M3", "F4", "?", ""]


def parts(whole: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def put_together(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@st.composite
def damaged_files(draw, wholes):
    """A valid file with one to three changes to its header, and its bytes cut, stretched or replaced."""
    header, body = parts(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(header)))
        change = draw(st.sampled_from(("metadata", "dtype", "shape", "offsets", "rename", "drop", "nothing")))
        if change == "metadata" and "__metadata__" in header:
            header["__metadata__"][draw(st.sampled_from(FIELDS))] = draw(st.sampled_from(ODD_JSON) | st.text())
        elif change == "rename":
            header[draw(st.sampled_from(("masks", "scores", "labels", "x", "__metadata__")))] = header.pop(name)
        elif change == "drop" and len(header) > 1:
            del header[name]
        elif name != "__metadata__" and change == "dtype":
            header[name]["dtype"] = draw(st.sampled_from(DTYPES))
        elif name != "__metadata__" and change == "shape":
            header[name]["shape"] = draw(st.lists(ODD_SIDES, max_size=5))
        elif name != "__metadata__" and change == "offsets":
            header[name]["data_offsets"] = draw(st.lists(st.sampled_from([0, 8, 16, 2**63, -1]), max_size=3))
    body = draw(st.just(body) | st.binary(max_size=len(body)) | st.just(body + b"\0") | st.just(body[:-1]))
    whole = put_together(header, body)
    length = draw(st.sampled_from([None] * 8 + [0, 1, 2**31, 2**63, 2**64 - 1]))
    return whole if length is None else length.to_bytes(8, "little") + whole[8:]


@pytest.fixture(scope="module")
def wholes():
    return valid_files()


def test_a_damaged_file_is_a_value_or_refused_in_a_sentence(wholes, folders):
    @given(damaged_files(wholes))
    @settings(same_folder, max_examples=150)
    def check(data):
        (folders / "output" / "damaged.safetensors").write_bytes(data)
        refused(EmerDiffLoad.execute, "damaged.safetensors")

    check()


@pytest.mark.parametrize("kind", range(6), ids=KINDS)
def test_metadata_of_every_kind_are_read_strictly(wholes, folders, kind):
    """Every odd text in every field of this kind's metadata; what is accepted has the types of the wire."""
    header, body = parts(wholes[kind])
    path = folders / "odd.safetensors"
    for name in set(header["__metadata__"]) - {"emerdiff", "version"}:
        for text in ODD_JSON:
            changed = header | {"__metadata__": header["__metadata__"] | {name: text}}
            path.write_bytes(put_together(changed, body))
            value = refused(from_file, path)
            if value is None:
                continue
            field = getattr(value, name)
            if name == "count":
                assert type(field) is int and int(value.labels.max()) < field <= 1024
            elif name == "latent_format":
                assert type(field) is str
            else:
                assert type(field) is tuple and [type(side) for side in field] == [int, int] and min(field) >= 1


def test_metadata_never_stand_in_for_tensors(wholes, folders):
    path = folders / "odd.safetensors"
    for whole in wholes:
        header, body = parts(whole)
        for name in set(header) - {"__metadata__"}:
            changed = header | {"__metadata__": header["__metadata__"] | {name: "[1, 2]"}}
            path.write_bytes(put_together(changed, body))
            value = refused(from_file, path)
            assert value is None or type(getattr(value, name)) is not list and getattr(value, name) != (1, 2)


@pytest.mark.parametrize(
    ("kind", "name", "tensor", "message"),
    [
        (1, "timesteps", torch.tensor([1000, 1]), "reach 1000"),
        (1, "timesteps", torch.arange(10**6, 0, -1), "reach 1000000"),
        (2, "masks", torch.full((1, 4, 2, 2), 1.5), "outside 0 to 1"),
        (2, "masks", torch.zeros(1, 2000, 2, 2), "more than 1024"),
        (3, "image_size", torch.tensor([2**40, 2**40]), "beyond"),
        (3, "image_size", torch.tensor([-4, -4]), "below 1"),
    ],
)
def test_what_would_take_endless_time_or_memory_is_refused(wholes, folders, kind, name, tensor, message):
    tensors = load(wholes[kind]) | {name: tensor}
    path = folders / "odd.safetensors"
    path.write_bytes(save(tensors, parts(wholes[kind])[0]["__metadata__"]))
    with pytest.raises(ValueError, match=message):
        from_file(path)


EXTREMES = st.sampled_from([0.0, 1.0, -1.0, 1e-38, 65504.0, 1e15, -1e25, 3.4e38])


@st.composite
def odd_values(draw, kind):
    """(tensors, metadata) that a reader of files accepts, of shapes, types and sizes that no node of ours makes."""
    pictures, segments = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    sides = [draw(st.integers(1, 6)) for _ in range(4)]
    floats = draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))

    def numbers(*shape):
        count = torch.Size(shape).numel()
        some = draw(st.lists(EXTREMES, min_size=1, max_size=min(count, 5)))
        return torch.tensor(some).repeat(-(-count // len(some)))[:count].reshape(shape).to(floats).nan_to_num(0, 1, -1)

    size = [draw(st.sampled_from([1, 3, 64, 200])) for _ in range(2)]
    latent = [draw(st.sampled_from([1, 4, 16])) for _ in range(2)]
    sizes = {"latent_size": json.dumps(latent), "working_size": json.dumps(size), "image_size": json.dumps([64, 64])}
    if kind == "features":
        return {"features": numbers(pictures, *sides[:3])}, sizes
    if kind == "trajectory":
        steps = draw(st.lists(st.integers(0, 999), min_size=1, max_size=5, unique=True))
        seed = draw(st.sampled_from([0, -1, 2**63 - 1, -(2**63)]))
        timesteps = torch.tensor(sorted(steps, reverse=True))
        latents = numbers(pictures, draw(st.sampled_from([48, 48, 48, 4])), *latent)
        name = json.dumps(draw(st.sampled_from(["UnshuffledPixels"] * 4 + ["SD15", ""])))
        return {"latent": latents, "seed": torch.tensor(seed), "timesteps": timesteps}, sizes | {"latent_format": name}
    if kind == "low_res_masks":
        return {"masks": numbers(pictures, segments, *sides[:2]).clamp(0, 1)}, sizes
    if kind == "difference_maps":
        return {"difference": numbers(pictures, segments, *sides[:2]), "image_size": torch.tensor(size)}, {}
    labels = torch.arange(sides[0] * sides[1]).remainder(segments).reshape(1, *sides[:2]).expand(pictures, -1, -1)
    return {"labels": labels.short()}, {"count": str(draw(st.sampled_from([segments, 256, 1024])))}


def check_masks(masks, size):
    assert masks.ndim == 3 and len(masks) and tuple(masks.shape[1:]) == tuple(size) and masks.dtype == torch.float32
    assert masks.amin() >= 0 and masks.amax() <= 1  # false for NaN


def use_features(value, small):
    refused(EmerDiffClusterFeatures.execute, value, 2, 0)
    labels = torch.arange(12, dtype=torch.int16).reshape(1, 3, 4).remainder(3).repeat(len(value.features), 1, 1)
    merged = refused(EmerDiffMergeSegments.execute, Segmentation(labels, 3), value, 1, 0.0)
    if merged is not None:  # features of another picture are refused
        check_masks(merged.result[1], (3, 4))


def use_trajectory(value, small):
    masks = LowResMasks(torch.ones(len(value.latent), 1, 2, 2), tuple(value.latent.shape[-2:]))
    maps = refused(EmerDiffModulateAttention.execute, *small, value, masks, "balanced")
    if maps is not None:
        use_difference_maps(maps.result[0], small)


def use_low_res_masks(value, small):
    size = tuple(4 * side for side in value.latent_size)
    latent = torch.ones(len(value.masks), 48, *value.latent_size)
    trajectory = Trajectory(latent, 0, (381, 1), size, size, "UnshuffledPixels")
    maps = refused(EmerDiffModulateAttention.execute, *small, trajectory, value, "fast")
    if maps is not None:
        use_difference_maps(maps.result[0], small)


def use_difference_maps(value, small):
    for normalize in (False, True):
        output = refused(EmerDiffAssembleMasks.execute, value, 1.0, 0.01, normalize)
        if output is not None:
            check_masks(output.result[0], value.image_size)


def use_segmentation(value, small):
    check_masks(
        execute(EmerDiffSelectSegments, segmentation=value, selection=f"0-{min(value.of_each) - 1}").result[0],
        value.labels.shape[1:],
    )
    assert len(refused(EmerDiffToSEGS.execute, value).result[0]) == len(value.labels)


@pytest.mark.parametrize("kind", KINDS[:5])
def test_what_is_read_can_be_used_or_is_refused_in_a_sentence(kind, small, folders):
    path, used = folders / "odd.safetensors", []

    @given(odd_values(kind))
    @settings(same_folder, max_examples=15)
    def check(value):
        safetensors_file.save(path, kind, *value)
        used.append(from_file(path))
        assert all(
            each.dtype == torch.float32 for each in used[-1] if torch.is_tensor(each) and each.is_floating_point()
        )
        globals()[f"use_{kind}"](used[-1], small)

    check()
    assert used
