"""The photographs' halves, and scenes cut out of pictures; no photograph itself is needed."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from measure.pictures import TUNING, Pictures
from small_model.photographs import HALVES, NoPhotographs, half_of, names, photograph
from small_model.scenes import scene
from small_model.textures import random_crop, textured_scene


def test_the_half_of_a_name_never_changes_and_both_are_as_large():
    halves = [half_of(f"coco/{number:012}") for number in range(1000)]
    assert halves.count(HALVES[0]) == pytest.approx(500, abs=50)
    written_down = {"coco/000000000009": "tuning", "bsds/train_100075": "tuning", "coco/000000000016": "reporting"}
    assert {name: half_of(name) for name in written_down} == written_down


def test_a_folder_without_photographs_says_what_belongs_there(tmp_path):
    with pytest.raises(NoPhotographs, match=r"--root a folder with coco, bsds, weizmann.*NAME.npz.*truth"):
        names("tuning", tmp_path)


def test_kinds_come_in_turn_and_those_of_photographs_need_their_folder(tmp_path):
    options = SimpleNamespace(kinds=["scenes", "textured"], count=2, half="tuning", root=tmp_path)
    items = [(each["kind"], each["key"] - TUNING) for each in Pictures("tuning", 2).items(options)]
    assert items == [("scenes", 0), ("textured", 0), ("scenes", 1), ("textured", 1)]
    with pytest.raises(NoPhotographs, match=r"^there are no photographs in .*--root"):
        list(Pictures("tuning", 1).items(SimpleNamespace(**vars(options) | {"kinds": ["coco"]})))


def test_a_photograph_is_read_with_all_that_people_drew(tmp_path):
    (tmp_path / "bsds").mkdir()
    truth = np.arange(24).reshape(2, 3, 4)
    for name in ("a", "b", "c", "d"):
        Image.new("L", (4, 3), 51).save(tmp_path / "bsds" / f"{name}.jpg")
        np.savez(tmp_path / "bsds" / f"{name}.npz", truth=truth)
    assert sorted([*names("tuning", tmp_path), *names("reporting", tmp_path)]) == [f"bsds/{each}" for each in "abcd"]
    one = photograph("bsds/a", tmp_path)
    assert one.image.shape == (3, 4, 3) and np.allclose(one.image, 0.2, atol=0.01)
    assert np.array_equal(one.truths, truth) and one.words == ()


def test_a_textured_scene_keeps_shapes_and_words_and_takes_the_pictures_surfaces():
    pictures = [np.random.default_rng(n).random((40, 60, 3), np.float32) for n in range(3)]
    made, again, plain = textured_scene(7, pictures, 64), textured_scene(7, pictures, 64), scene(7, 64)
    assert np.array_equal(made.labels, plain.labels) and made.words == plain.words
    assert np.array_equal(made.image, again.image) and made.image.dtype == np.float32
    assert not np.allclose(made.image, plain.image, atol=0.1)
    inside = made.image[made.labels == 0]
    assert inside.std(0).min() > 0.05, "a region has the surface of a picture, not one colour"


def test_crops_are_of_the_size_asked_whatever_the_picture_is():
    rng = np.random.default_rng(0)
    for shape in ((40, 60), (60, 40), (33, 33)):
        crop = random_crop(rng.random((*shape, 3)).astype(np.float32), 32, rng)
        assert crop.shape == (32, 32, 3) and 0 <= crop.min() and crop.max() <= 1
