"""`lab/run.py protocol` with a model: scenes laid out as VOC, in all three protocols, and checkpoints that are none."""

import sys

import numpy as np
import pytest
from PIL import Image

from protocols import protocol
from reasons import ended
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once
NAMES = ("first", "second")
LISTED = "ImageSets/Segmentation/val.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two scenes; their regions are classes of VOC, the background is its own."""
    folder = tmp_path_factory.mktemp("voc")
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    (folder / LISTED).write_text("\n".join(NAMES))
    for number, name in enumerate(NAMES):
        made = scene(HELD_OUT + 50 + number, 128)
        Image.fromarray((made.image * 255).astype(np.uint8)).save(folder / f"JPEGImages/{name}.jpg", quality=95)
        Image.fromarray(made.labels.astype(np.uint8)).save(folder / f"SegmentationClass/{name}.png")
    return folder


@pytest.fixture
def command(monkeypatch, tmp_path, root, capsys):
    monkeypatch.setattr(protocol, "OUTPUT", tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["protocol", "--data", "voc", "--root", str(root), *map(str, arguments)])
        return ended(protocol.main), capsys.readouterr()

    return run


def accuracy(printed):
    line = next(each for each in printed.splitlines() if " +- " in each and each.startswith("|"))
    return float(line.split("|")[4].split()[0])


@pytest.mark.parametrize("method", [("emerdiff", "draft"), ("bilinear",)])
def test_label_maps_of_a_model_are_scored_by_every_picture(command, method):
    code, said = command("--method", *method, "--segments", 5)
    assert code == 0 and ": 5.0 segments in a picture, 2 of the 1,449 pictures" in said.out
    assert accuracy(said.out) > 0.6


def test_what_a_model_sees_makes_concepts_and_shared_clusters(command, tmp_path):
    asked = ("--method", "bilinear", "--segments", 5)
    code, said = command("--protocol", "modified", *asked)
    assert code == 0 and "nearest concept" in said.out and accuracy(said.out) > 0.6
    kept = (tmp_path / "voc, plain, small-model, bilinear, 5 segments, embeddings.jsonl").read_bytes()
    code, said = command("--protocol", "data-set", "--clusters", 6, *asked)
    assert code == 0 and "6 clusters, one matching" in said.out
    assert (tmp_path / "voc, plain, small-model, bilinear, 5 segments, embeddings.jsonl").read_bytes() == kept


def test_pictures_may_have_their_own_number_of_segments(command):
    code, said = command("--method", "emerdiff", "draft", "--segments", 0, "--count", 1)
    assert code == 0 and ", 1 of the 1,449 pictures" in said.out


def test_what_is_no_checkpoint_is_refused_in_a_sentence(command, tmp_path):
    for name, content in (("junk.safetensors", b"hello" * 100), ("junk.ckpt", b"hello" * 100)):
        (tmp_path / name).write_bytes(content)
        code, said = command("--method", "bilinear", "--checkpoint", tmp_path / name)
        assert code == 1 and "The model junk cannot be used" in said.err
    code, said = command("--method", "bilinear", "--checkpoint", tmp_path / "none.safetensors")
    assert code == 1 and f"There is no file {tmp_path / 'none.safetensors'}" in said.err
    code, said = command("--method", "bilinear", "--model", "large-model")
    assert code == 1 and "--model takes small-model or small-sd" in said.err
