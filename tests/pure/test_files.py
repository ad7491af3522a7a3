"""Saved files: what is written comes back, and whatever else is read is a ValueError that says what to do."""

import json
import os

import pytest
import torch
from emerdiff.emerdiff_ops.files import layout, names, safetensors_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def values(kind, seed=0):
    """Valid tensors of every kind: two images, three segments."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    return {
        "features": lambda: {"features": rand(2, 4, 5, 8)},
        "trajectory": lambda: {
            "latent": rand(2, 4, 8, 8),
            "seed": torch.tensor(2**64 - 1, dtype=torch.uint64),
            "timesteps": torch.tensor([981, 281, 1]),
        },
        "low_res_masks": lambda: {"masks": (rand(2, 3, 4, 5) > 0.5).float()},
        "difference_maps": lambda: {"difference": rand(2, 3, 6, 7), "image_size": torch.tensor([60, 70])},
        "segmentation": lambda: {
            "labels": torch.randint(0, 3, (2, 6, 7), generator=generator).to(torch.int16),
            "scores": rand(2, 3, 6, 7),
        },
    }[kind]()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


@given(st.sampled_from(sorted(layout.SPECS)), st.integers(0, 2**32), st.dictionaries(st.text(), st.text(), max_size=3))
@same_folder
def test_what_is_saved_comes_back(tmp_path, kind, seed, extras):
    extras = {f"x{name}": text for name, text in extras.items()}
    tensors = values(kind, seed)
    safetensors_file.save(tmp_path / "value.safetensors", kind, tensors, extras)
    loaded_kind, loaded, metadata = safetensors_file.load(tmp_path / "value.safetensors")
    assert loaded_kind == kind and same(loaded, tensors)
    assert metadata == {**extras, "emerdiff": kind, "version": "1"}
    assert os.listdir(tmp_path) == ["value.safetensors"]


def test_chains_come_back_in_half_precision_and_have_a_grid(tmp_path):
    tensors = {**values("features"), "chains": torch.rand(2, 6, 6).half() + 0.5}
    safetensors_file.save(tmp_path / "a.safetensors", "features", tensors, {"chain_grid": "[2, 3]"})
    assert same(safetensors_file.load(tmp_path / "a.safetensors")[1], tensors)
    for grid, changed, message in (
        ("[2, 4]", {}, "6 tokens, which are not those of a grid of"),
        ("null", {}, "chain_grid is not a height and a width"),
        ("[2, 3]", {"chains": tensors["chains"] - 1}, "negative numbers, or rows of nothing"),
        ("[2, 3]", {"chains": tensors["chains"].float()}, "float32 instead of torch.float16"),
        ("[2, 3]", {"chains": tensors["chains"][..., :5]}, "has 5 along N instead of 6"),
    ):
        with pytest.raises(ValueError, match=message):
            safetensors_file.save(tmp_path / "b", "features", {**tensors, **changed}, {"chain_grid": grid})
    with pytest.raises(ValueError, match="a grid of None"):
        safetensors_file.save(tmp_path / "b", "features", tensors, {})


def test_clusters_come_back_and_are_numbered(tmp_path):
    tensors = {**values("features"), "clusters": torch.arange(80).view(2, 2, 4, 5).to(torch.int16) % 20}
    safetensors_file.save(tmp_path / "a.safetensors", "features", tensors, {})
    assert same(safetensors_file.load(tmp_path / "a.safetensors")[1], tensors)
    for change in (lambda each: each + 1, lambda each: each - 1, lambda each: 2 * each):
        with pytest.raises(ValueError, match="not numbered from 0 without gaps"):
            safetensors_file.save(tmp_path / "b", "features", {**tensors, "clusters": change(tensors["clusters"])}, {})


def test_every_kind_of_the_table_is_tried_here():
    assert {kind for kind in layout.SPECS if values(kind)} == set(layout.SPECS)


NUMBERS = torch.tensor([7, 981, 281, 1])
SAVED_TOO = {  # half precision and transposed; views of one tensor
    "segmentation": {"labels": torch.zeros(2, 7, 6, dtype=torch.int16).mT, "scores": torch.rand(2, 3, 6, 7).bfloat16()},
    "trajectory": {"latent": torch.rand(1, 4, 2, 2), "seed": NUMBERS[0], "timesteps": NUMBERS[1:]},
}


@pytest.mark.parametrize("kind", SAVED_TOO)
def test_tensors_of_any_layout_can_be_saved(tmp_path, kind):
    safetensors_file.save(tmp_path / "a", kind, SAVED_TOO[kind], {})
    assert same(safetensors_file.load(tmp_path / "a")[1], SAVED_TOO[kind])


def test_optional_tensors_may_be_absent_and_others_are_not_read(tmp_path):
    labels = values("segmentation")["labels"]
    path = tmp_path / "a.safetensors"
    save_file({"labels": labels, "later": torch.ones(3)}, path, {"emerdiff": "segmentation", "version": "1"})
    assert same(safetensors_file.load(path)[1], {"labels": labels})


def test_loaded_tensors_outlive_their_file(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors_file.save(path, "features", values("features"), {})
    loaded = safetensors_file.load(path)[1]
    path.write_bytes(bytes(path.stat().st_size))
    assert same(loaded, values("features"))


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    safetensors_file.save(path, "features", values("features"), {})

    def half_written(tensors, target, metadata):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors_file, "save_file", half_written)
    with pytest.raises(KeyboardInterrupt):
        safetensors_file.save(path, "features", values("features", seed=1), {})
    assert same(safetensors_file.load(path)[1], values("features")) and os.listdir(tmp_path) == ["a.safetensors"]


def change(tensors, **changed):
    return {name: tensor for name, tensor in {**tensors, **changed}.items() if tensor is not None}


NAN, INF = float("nan"), float("inf")
WRONG = {
    "missing": ("features", {"features": None}, {}, '"features" is missing'),
    "missing beside others": ("trajectory", {"timesteps": None}, {}, '"timesteps" is missing'),
    "ndim": ("features", {"features": torch.rand(2, 3, 4)}, {}, r"shape \[2, 3, 4\] instead of \[B, h, w, C\]"),
    "vector for a number": ("trajectory", {"seed": torch.tensor([1])}, {}, '"seed" has the shape'),
    "dtype": ("segmentation", {"labels": torch.zeros(2, 6, 7)}, {}, "torch.float32 instead of torch.int16"),
    "whole numbers": ("features", {"features": torch.ones(1, 2, 3, 4).long()}, {}, "torch.int64 instead of"),
    "empty": ("features", {"features": torch.rand(0, 2, 3, 4)}, {}, "is empty"),
    "no timesteps": ("trajectory", {"timesteps": torch.tensor([]).long()}, {}, "is empty"),
    "NaN": ("low_res_masks", {"masks": torch.full((1, 1, 2, 2), NAN)}, {}, "NaN or infinite"),
    "infinite": ("difference_maps", {"difference": torch.full((1, 1, 2, 2), -INF)}, {}, "NaN or infinite"),
    "rising": ("trajectory", {"timesteps": torch.tensor([1, 281])}, {}, "do not fall"),
    "negative time": ("trajectory", {"timesteps": torch.tensor([281, -1])}, {}, "do not fall towards 0"),
    "three sides": ("difference_maps", {"image_size": torch.tensor([6, 7, 3])}, {}, "has 3 along height, width"),
    "no height": ("difference_maps", {"image_size": torch.tensor([0, 7])}, {}, "below 1"),
    "negative label": ("segmentation", {"labels": torch.full((2, 6, 7), -1).short()}, {}, "negative number -1"),
    "label of no score": ("segmentation", {"labels": torch.full((2, 6, 7), 3).short()}, {}, "reach number 3.* are 3"),
    "label of no count": (
        "segmentation",
        {"scores": None, "labels": torch.full((2, 6, 7), 3).short()},
        {"count": "2"},
        "are 2",
    ),
    "count": ("segmentation", {"scores": None}, {"count": "many"}, "are many"),
    "two counts": ("segmentation", {}, {"count": "4"}, "differ: 3 and 4"),
    "counts of other images": ("low_res_masks", {}, {"counts": "[3]"}, "counts are not .* 1-3 for each of 2 pictures"),
    "counts beyond the masks": ("low_res_masks", {}, {"counts": "[3, 4]"}, "counts are not"),
    "counts that are none": ("difference_maps", {}, {"counts": "[3, true]"}, "counts are not"),
    "counts beyond the count": ("segmentation", {"scores": None}, {"count": "3", "counts": "[3, 9]"}, "within 1-3"),
    "label of no own count": (
        "segmentation",
        {"scores": None, "labels": torch.full((2, 6, 7), 2).short()},
        {"count": "3", "counts": "[3, 2]"},
        "picture 1 reach beyond its 2 segments",
    ),
    "scores of another size": ("segmentation", {"scores": torch.rand(2, 3, 6, 8)}, {}, '"scores" has 8 along W'),
    "scores of other images": ("segmentation", {"scores": torch.rand(1, 3, 6, 7)}, {}, '"scores" has 1 along B'),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_contents_are_neither_written_nor_read(tmp_path, name):
    kind, changed, metadata, message = WRONG[name]
    tensors, path = change(values(kind), **changed), tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match=message):
        safetensors_file.save(path, kind, tensors, metadata)
    assert not os.listdir(tmp_path)
    save_file(tensors, path, {**metadata, "emerdiff": kind, "version": "1"})
    with pytest.raises(ValueError, match=message) as error:
        safetensors_file.load(path)
    assert str(path) in str(error.value) and "again" in str(error.value)


def test_kinds_and_tensors_that_do_not_exist_are_not_written(tmp_path):
    with pytest.raises(ValueError, match='"mask" is none of features'):
        safetensors_file.save(tmp_path / "a", "mask", {}, {})
    with pytest.raises(ValueError, match="has no tensor extra"):
        safetensors_file.save(tmp_path / "a", "features", {**values("features"), "extra": torch.ones(1)}, {})
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "metadata, message",
    [
        (None, "not written by EmerDiff"),
        ({"format": "pt"}, "not written by EmerDiff"),
        ({"emerdiff": "features", "version": "2"}, "newer EmerDiff .* update this pack"),
        ({"emerdiff": "future", "version": "12"}, "newer EmerDiff"),
        ({"emerdiff": "future", "version": "1"}, 'unknown kind of value, "future"'),
        ({"emerdiff": "features"}, "no format version"),
        ({"emerdiff": "features", "version": "1.5"}, "no format version"),
    ],
)
def test_other_metadata_is_refused(tmp_path, metadata, message):
    save_file(values("features"), tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match=message) as error:
        safetensors_file.load(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(ValueError, match="no file .*absent.safetensors; check the name"):
        safetensors_file.load(tmp_path / "absent.safetensors")
    with pytest.raises(ValueError, match="no file"):
        safetensors_file.load(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    with pytest.raises(ValueError, match="picture.png is damaged or not a safetensors file .* save the value again"):
        safetensors_file.load(tmp_path / "picture.png")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "a.safetensors"
    safetensors_file.save(path, "segmentation", values("segmentation"), {"count": "3"})
    return path.read_bytes()


def read(folder, data):
    path = folder / "damaged.safetensors"
    path.write_bytes(data)
    return safetensors_file.load(path)


@given(st.data())
@same_folder
def test_a_truncated_file_is_a_value_error(tmp_path, saved, data):
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path, saved[: data.draw(st.integers(0, len(saved) - 1))])


@given(st.binary(max_size=300), st.booleans())
@same_folder
def test_random_bytes_are_a_value_error(tmp_path, data, framed):
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path, len(data).to_bytes(8, "little") + data if framed else data)


@given(st.data())
@settings(same_folder, max_examples=300)
def test_changed_bytes_are_a_valid_file_or_a_value_error(tmp_path, saved, data):
    changed = bytearray(saved)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, 300))] = data.draw(st.integers(0, 255))
    try:
        kind, tensors, metadata = read(tmp_path, bytes(changed))
    except ValueError:
        return
    safetensors_file.save(tmp_path / "again", kind, tensors, metadata)  # which checks them


@pytest.mark.parametrize("dtype", ["BOOL", "F4", "F8_E4M3", "F8_E8M0", "C64", "U16", "F64", "I8", "NONE"])
def test_other_types_of_number_are_a_value_error(tmp_path, dtype):
    header = {"features": {"dtype": dtype, "shape": [1, 2, 2, 2], "data_offsets": [0, 0]}}
    bits = {"BOOL": 8, "F4": 4, "C64": 64, "U16": 16, "F64": 64}.get(dtype, 8)
    header["features"]["data_offsets"] = [0, bits]
    text = json.dumps({**header, "__metadata__": {"emerdiff": "features", "version": "1"}}).encode()
    with pytest.raises(ValueError, match="damaged|instead of"):
        read(tmp_path, len(text).to_bytes(8, "little") + text + bytes(bits))


@pytest.fixture
def roots(tmp_path):
    for folder in ("output/sub", "input", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("output/sub/a", "input/b", "elsewhere/c"):
        (tmp_path / file).touch()
    return tmp_path, [tmp_path / "output", str(tmp_path / "input")]


def test_files_within_the_roots_are_found(roots):
    base, folders = roots
    assert names.inside("sub/a", folders) == base / "output/sub/a"
    assert names.inside("b", folders) == base / "input/b"
    assert names.inside("sub/../sub/./a", folders) == base / "output/sub/a"
    assert names.inside(base / "input/b", folders) == base / "input/b"
    assert names.inside("../input/b", folders) == base / "input/b"
    assert names.inside("absent", folders) == base / "output/absent"


def test_a_root_may_itself_be_a_link_and_what_leads_outside_is_refused(roots):
    base, folders = roots
    os.symlink(base / "output", base / "link")
    assert names.inside("sub/a", [base / "link"]) == base / "output/sub/a"
    for folder in folders:
        os.symlink(base / "elsewhere", os.path.join(folder, "link"))
    for path in ("../elsewhere/c", "sub/../../elsewhere/c", "/etc/passwd", "../outputs/a", "link/c"):
        with pytest.raises(ValueError, match="is not inside .*output or .*input; move the file"):
            names.inside(path, folders)
