"""`lab/run.py segment` on a folder: what it reads, what it leaves, and what it says of bad pictures and arguments."""

import os

import numpy as np
import pytest
from PIL import Image
from segmented_folders import SIZE, files, fill, labels_of, picture, rows, run

from batch import pictures, results

pytestmark = pytest.mark.once
CONVERTED = {  # what Pillow can write, and how far reading may be off: formats that lose, and few colours
    "a.png": (None, 0),
    "b.jpg": (None, 0.2),
    "c.webp": (None, 0.3),
    "d.bmp": (None, 0),
    "e.tif": (None, 0),
    "f.gif": ("P", 0.5),
    "g.ppm": (None, 0),
    "h.tga": ("RGBA", 0),
    "i.jp2": (None, 0.2),
    "j.png": ("LA", None),
    "k.png": ("1", None),
    "l.jpg": ("CMYK", 0.2),
    "m.PNG": (None, 0),
}


# --- reading ---


@pytest.mark.parametrize("name", CONVERTED)
def test_every_format_and_mode_is_read_as_the_colours_it_has(folder, name):
    mode, tolerance = CONVERTED[name]
    image = Image.fromarray(picture())
    image = image.convert(mode) if mode else image
    image.save(folder / name)
    assert pictures.found(folder, folder) == [name]
    read = pictures.read(folder / name)
    assert read.shape == (SIZE, SIZE, 3) and read.dtype == np.float32
    if tolerance is None:  # grey: all channels are the one
        grey = np.asarray(image.convert("L"), np.float32) / 255
        assert np.abs(read - grey[..., None]).max() == 0
    else:
        assert np.abs(read - picture() / 255).mean() <= tolerance * 0.2 + 1e-6


def test_sixteen_bits_keep_their_levels_and_numbers_without_a_range_are_refused(folder):
    grey = (np.arange(SIZE * SIZE, dtype=np.uint32).reshape(SIZE, SIZE) * 16).astype(np.uint16)
    for name in ("a.png", "b.tif", "c.pgm"):
        Image.fromarray(grey).save(folder / name)
        assert np.abs(pictures.read(folder / name) - (grey / 65535)[..., None]).max() < 1e-6
    Image.fromarray(grey.astype(np.float32) - 5).save(folder / "d.tif")
    with pytest.raises(ValueError, match="its pixels are numbers from -5 to 65515: save it with 8 or 16 bits"):
        pictures.read(folder / "d.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(folder, orientation):
    """Tag 274, EXIF 2.3, section 4.6.4: where the 0th row and the 0th column are, seen."""
    seen = picture()[: SIZE // 2]
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.swapaxes(0, 1),
        6: np.rot90(seen, 1),
        7: np.rot90(seen, 2).swapaxes(0, 1),
        8: np.rot90(seen, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / "a.png", exif=exif)
    assert np.array_equal((pictures.read(folder / "a.png") * 255).round(), seen)


def test_of_films_the_first_frame_is_read(folder):
    frames = [Image.fromarray(picture(number)) for number in range(3)]
    for name in ("a.gif", "b.webp", "c.tif", "d.png"):
        options = {"lossless": True} if name == "b.webp" else {}
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], **options)
        near = [np.abs(pictures.read(folder / name) - picture(number) / 255).mean() for number in range(3)]
        assert near[0] < 0.05 < min(near[1:])


def test_hidden_files_results_and_what_is_no_picture_are_left_out(folder):
    fill(
        folder,
        ["b.jpg", "deep/er/a.png", ".hidden.png", ".thumbnails/a.png", "results/labels/b.jpg.png", "c.jpg/d.png"],
    )
    for name in ("notes.txt", "film.mpg", "data.h5", "no_ending", "jpg"):
        (folder / name).write_bytes(b"nothing")
    assert pictures.found(folder, folder / "results") == ["b.jpg", "c.jpg/d.png", "deep/er/a.png"]
    assert {".jpg", ".png", ".webp", ".tiff", ".avif", ".psd"} <= pictures.endings()


@pytest.mark.parametrize("place", [".", "labels", "deep/masks/one"])
def test_what_a_run_wrote_is_no_picture_wherever_it_lies(folder, monkeypatch, capsys, place):
    """Again to the same folder, then to another; a user's own folders may be called as those of results are."""
    own = ["a.png", "labels/b.png", "masks/c.jpg", "overlays/deep/d.jpg", "overlays/v1.5.jpg"]
    fill(folder, own)
    first = folder / place
    assert run(monkeypatch, folder, first, "--masks") == 0
    written = files(first)
    assert run(monkeypatch, folder, first, "--masks") == 0
    assert "0 pictures segmented" in capsys.readouterr().out and files(first) == written
    assert run(monkeypatch, folder, folder / "two", "--masks") == 0
    taken = sorted(row["path"] for row in rows(folder / "two"))
    assert taken == sorted({row["path"] for row in rows(first)} | ({"labels/b.png"} if place == "labels" else set()))
    assert set(taken) == set(own)
    (first / "segments.jsonl").unlink()  # as of a run that was killed before its first line
    assert pictures.found(folder, folder / "three") == taken
    for kind in ("labels", "overlays", "masks"):
        theirs = [name for name in own if name.startswith(f"{kind}/") and place == "."]
        assert len(pictures.found(first / kind, folder / "three")) == len(theirs)
    assert run(monkeypatch, folder / "two", folder / "three") == 1
    assert "all are results of this command" in capsys.readouterr().err


# --- results ---


def test_every_picture_gets_its_files_and_its_line(folder, output, segment, capsys):
    fill(folder, ["one.png", "deep/two.jpg", "deep/two.png"])
    wide = Image.fromarray(picture()).resize((160, 80))
    exif = Image.Exif()
    exif[274] = 6  # seen, it stands upright
    wide.save(folder / "turned.jpg", exif=exif)
    assert segment("--masks") == 0
    assert "4 pictures segmented, 0 were done before, 0 failed" in capsys.readouterr().out
    assert {row["path"] for row in rows(output)} == {"one.png", "deep/two.jpg", "deep/two.png", "turned.jpg"}
    for row in rows(output):
        labels, shown = labels_of(output, row["path"]), Image.open(output / row["overlay"])
        assert (row["height"], row["width"]) == labels.shape == shown.size[::-1] and labels.dtype == np.uint8
        assert row["areas"] == np.bincount(labels.ravel()).tolist() and row["segments"] == len(row["areas"]) > 1
        masks = sorted((output / row["masks"]).iterdir())
        assert [mask.name for mask in masks] == [f"{number:03}.png" for number in range(row["segments"])]
        whole = np.stack([np.asarray(Image.open(mask)) for mask in masks])
        assert set(np.unique(whole)) == {0, 255} and np.array_equal(whole.argmax(0), labels)
        assert row["seconds"] > 0 and row["settings"]["preset"] == "draft" and row["settings"]["model"] == "small-model"
    turned = next(row for row in rows(output) if row["path"] == "turned.jpg")
    assert (turned["height"], turned["width"]) == (160, 80)
    assert not (output / ".unfinished").exists()


def test_as_many_segments_as_asked_for_by_a_preset_that_lifts(folder, output, segment):
    fill(folder, ["one.png"])
    assert segment("--segments", 3, "--preset", "fast", "--resolution", 64) == 0
    assert rows(output)[0]["segments"] == 3
    assert (
        rows(output)[0]["settings"] | {"segments": 3, "preset": "fast", "resolution": 64} == rows(output)[0]["settings"]
    )


def test_more_than_256_segments_are_written_with_16_bits(output):
    output.mkdir()
    labels = np.arange(64 * 64, dtype=np.int16).reshape(64, 64) // 13
    row = results.write(output, "many.png", picture() / np.float32(255), labels, masks=False)
    assert row["segments"] == 316 and np.array_equal(labels_of(output, "many.png"), labels)
    assert Image.open(output / row["labels"]).mode == "I;16"


def test_names_of_any_encoding_and_length(folder, output, segment, capfd):
    strange = os.fsdecode(b"n\xff\xe4 'quoted' \"\n.png")
    long = "x" * 250 + ".png"  # no room for another ending
    fill(folder, [strange, long])
    assert segment() == 1
    assert {row["path"]: "error" in row for row in rows(output)} == {strange: False, long: True}
    assert (output / "labels" / f"{strange}.png").exists()
    assert "too long" in next(row["error"] for row in rows(output) if row["path"] == long)


# --- what was wrong ---


def test_broken_pictures_are_reported_skipped_and_tried_again(folder, output, segment, capsys):
    fill(folder, ["a.png", "e.png"])
    (folder / "b.jpg").write_bytes(b"not a picture")
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    Image.fromarray(picture(0, 32)).save(folder / "d.png")
    Image.new("RGB", (SIZE, SIZE), "black").save(folder / "f.png")
    (folder / "g.png").write_bytes(b"")
    assert segment() == 1
    said = capsys.readouterr()
    wrong = {row["path"]: row["error"] for row in rows(output) if "error" in row}
    assert list(wrong) == ["b.jpg", "c.png", "d.png", "f.png", "g.png"]
    assert "needs at least 64" in wrong["d.png"] and "one flat colour" in wrong["f.png"]
    assert all(f"{path}: {text}" in said.err for path, text in wrong.items())
    assert "2 pictures segmented, 0 were done before, 5 failed" in said.out
    fill(folder, ["b.jpg", "c.png", "d.png", "f.png", "g.png"])
    assert segment() == 0
    assert "5 pictures segmented, 2 were done before, 0 failed" in capsys.readouterr().out
    assert [row["path"] for row in rows(output)][-5:] == list(wrong)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "There is no folder"),
        (["."], "There are no pictures in"),
        ([".", "--checkpoint", "nothing.safetensors"], "There is no file"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(tmp_path, output, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments[:1], output, *arguments[1:]) == 1
    assert capsys.readouterr().err.strip().startswith(said)


def test_a_checkpoint_of_another_kind_is_said_in_a_sentence(folder, output, segment, tmp_path, capsys):
    fill(folder, ["a.png"])
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    assert segment("--checkpoint", tmp_path / "model.safetensors") == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("The model ") and " cannot be used (" in said and said.endswith("give another --checkpoint.")
    assert not (output / "segments.jsonl").exists()


@pytest.mark.parametrize("arguments", [["--segments", "257"], ["--segments", "-1"], ["--workers", "2"]])
def test_numbers_out_of_range_are_refused(segment, arguments, capsys):
    with pytest.raises(SystemExit):
        segment(*arguments)
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


def test_results_of_other_settings_are_not_mixed(folder, output, segment, capsys):
    fill(folder, ["a.png"])
    assert segment() == 0
    before = files(output)
    assert segment("--segments", 4, "--masks") == 1
    said = capsys.readouterr().err
    assert "holds results of other settings (masks False, now True, segments 0, now 4)" in said
    assert files(output) == before


def test_two_runs_do_not_write_to_one_folder(folder, output, segment, capsys):
    fill(folder, ["a.png"])
    with results.alone(output):
        assert segment() == 1
    assert "Another run writes to" in capsys.readouterr().err
    assert segment() == 0
