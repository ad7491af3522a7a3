"""`lab/run.py protocol` on tiny data sets in every published layout, whose right scores are computed by hand."""

import errno
import json
import os
import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from published_files import halves, save, thirds, write

import journal
from protocols import protocol
from protocols.data_sets import CLASSES, COARSE, CONTEXT, DATA, FINE
from protocols.methods import METHODS, NO_MODEL
from reasons import ended

VOC_LIST = {"ImageSets/Segmentation/val.txt": "a\n"}
COLOURS = ("--method", "kmeans-colour", "--segments", 2)
CONTEXT_LABELS = "".join(f"{100 + place}: {name}\n" for place, name in enumerate(CONTEXT)) + "7: accordion\n"
COCO = "000000000139"  # in the published list
DETECTRON = "pascal_ctx_d2/images/validation/a.jpg pascal_ctx_d2/annotations_ctx59/validation/a.png"
CITY = "leftImg8bit/val/ulm/1_leftImg8bit.png gtFine/val/ulm/1_gtFine_labelIds.png"
DEVKIT = "VOCdevkit/VOC2012"
LAYOUTS = {  # data, picture and labels, [left, right above, right below], files of text
    "COCO-Stuff as its page says": (
        "coco-stuff-171",
        f"images/val2017/{COCO}.jpg annotations/val2017/{COCO}.png",
        thirds(0, 181, 255),
        {},
    ),
    "COCO-Stuff in DiffSeg's folders": (
        "coco-stuff-27",
        f"val2017/{COCO}.jpg annotation_val2017/{COCO}.png",
        thirds(1, 105, 255),
        {},
    ),
    "ADE20K": ("ade20k", "images/validation/a.jpg annotations/validation/a.png", thirds(1, 150, 0), {}),
    "VOC": (
        "voc",
        f"{DEVKIT}/JPEGImages/a.jpg {DEVKIT}/SegmentationClass/a.png",
        thirds(0, 20, 255),
        {f"{DEVKIT}/ImageSets/Segmentation/val.txt": "a\n"},
    ),
    "VOC without background": ("voc-20", "JPEGImages/a.jpg SegmentationClass/a.png", thirds(1, 20, 0), VOC_LIST),
    "Context as label images": (
        "context",
        "VOC2010/JPEGImages/a.jpg VOC2010/SegmentationClassContext/a.png",
        thirds(1, 59, 0),
        {"VOC2010/ImageSets/SegmentationContext/val.txt": "a\n"},
    ),
    "Context of detectron2's scripts": ("context", DETECTRON, thirds(0, 58, 255), {}),
    "Context as published, classes by name": (
        "context",
        "JPEGImages/a.jpg trainval/a.mat",
        thirds(100, 158, 7, np.uint16),
        {"ImageSets/Main/val.txt": "a\n", "labels.txt": CONTEXT_LABELS},
    ),
    "Context with all classes": (
        "context-459",
        "JPEGImages/a.jpg trainval/a.mat",
        thirds(1, 459, 0, np.uint16),
        {"ImageSets/Main/val.txt": "a\n"},
    ),
    "Context with all classes, of detectron2's scripts": (
        "context-459",
        "images/validation/a.jpg annotations_ctx459/validation/a.tif",
        thirds(0, 458, 65535, np.uint16),
        {},
    ),
    "Cityscapes": ("cityscapes", CITY, thirds(7, 33, 6), {}),
    "Cityscapes, what is trained on": ("cityscapes-19", CITY, thirds(7, 33, 9), {}),
}


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs it without ComfyUI; what it printed, or what it said on the way out."""
    monkeypatch.setattr(protocol, "OUTPUT", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "measure.pipeline", None)  # cannot be imported

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["protocol", *map(str, arguments)])
        assert ended(protocol.main) == code
        said = capsys.readouterr()
        return said.err.split("\n")[-2] if code else said.out

    return run


def figures(printed, line):
    """mIoU, mIoU over classes that occur and pixel accuracy of a line of the table."""
    row = next(each for each in printed.splitlines() if each.startswith(f"| {line} |"))
    return [float(each) for each in re.findall(r"(\d\.\d+) \+-", row)]


def logged(tmp_path, name):
    return [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").open()]


def many(tmp_path, number=3):
    """A data set of so many pictures, in VOC's layout."""
    for each in range(number):
        write(tmp_path / "data", f"JPEGImages/{each}.jpg", f"SegmentationClass/{each}.png", thirds(1, 2, 255))
    listed = tmp_path / "data/ImageSets/Segmentation/val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"{each}\n" for each in range(number)))
    return tmp_path / "data"


# --- layouts ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("way", ["per-image", "data-set", "modified"])
def test_every_layout_is_read_and_scored_right(command, tmp_path, layout, way):
    """Left 128 pixels of one class, right 64 of another, 32 of the first: IoU 128/160 and 64/96, 192 of 224 right."""
    data, files, values, texts = LAYOUTS[layout]
    root = write(tmp_path / "data", *files.split(), values, texts)
    clusters = ("--clusters", 2) if way == "data-set" else ()
    printed = command("--data", data, "--root", root, "--count", 1, "--protocol", way, *clusters, *COLOURS)
    line = {"per-image": "as matched", "data-set": "2 clusters, one matching", "modified": "nearest concept"}[way]
    assert figures(printed, line) == [0.733, 0.733, 0.857]
    assert f": 2.0 segments in a picture, 1 of the {DATA[data].pictures:,} pictures" in printed


def test_everything_else_is_the_background_of_objects_and_of_context_60(command, tmp_path):
    """Left 128 of a thing; right 64 of stuff, 32 of the thing and 32 void: to the background 96."""
    objects = "images/val2017/1.jpg", "annotations/val2017/1.png", thirds(0, 181, 255)
    context = "images/validation/1.jpg", "annotations_ctx59/validation/1.png", thirds(0, 255, 255)
    for data, files in {"coco-object": objects, "context-60": context}.items():
        printed = command("--data", data, "--root", write(tmp_path / data, *files), *COLOURS)
        assert figures(printed, "as matched") == [round((128 / 160 + 96 / 128) / 2, 3)] * 2 + [0.875]
        assert "| background | 96 | 0.750 |" in printed


def test_coarse_classes_are_those_of_coco_stuff():
    """Counted in the published hierarchy: 12 kinds of things and 15 of stuff; 80 things and 91 stuffs in them."""
    assert len(FINE) == 171 and sum(number < 91 for number, _, _ in FINE) == 80
    assert {coarse for number, _, coarse in FINE if number < 91} == set(COARSE[:12])
    assert {coarse for number, _, coarse in FINE if number >= 91} == set(COARSE[12:])
    assert {name: coarse for _, name, coarse in FINE}["wall-brick"] == "wall"
    listed = (CLASSES / "coco_stuff_pictures.txt").read_text().split()
    assert len(set(listed)) == 2175 and all(len(each) == 12 for each in listed)


def test_the_published_list_is_left_out_where_all_pictures_are_asked_for(command, tmp_path):
    root = tmp_path / "data"
    for name in ("000000000139", "000000000009"):  # the second is not in the list
        write(root, f"val2017/{name}.jpg", f"stuffthingmaps/val2017/{name}.png", thirds(0, 181, 255))
    asked = ("--data", "coco-stuff-27", "--root", root, *COLOURS)
    assert "4348 of 4350 files are missing" in command(*asked, code=1)
    assert " 2 of the 5,000 pictures" in command(*asked, "--all-pictures")


# --- what published scripts do ---


def test_diffcut_scores_the_unlabelled_of_ade20k_and_leaves_out_its_last_class(command, tmp_path):
    root = write(tmp_path / "data", "images/validation/1.jpg", "annotations/validation/1.png", thirds(0, 150, 150))
    asked = ("--data", "ade20k", "--root", root, *COLOURS)
    plain, diffcut = command(*asked), command(*asked, "--as", "diffcut")
    assert "| flag | 96 | 1.000 |" in plain and "unlabelled" not in plain
    assert "| unlabelled |" in diffcut and "| flag |" not in diffcut


def test_void_is_the_background_of_voc_for_diffcut_alone(command, tmp_path):
    """Void is on the right, above 8 and from 12 on. DiffCut keeps 15 x 15 pixels and looks at 8 i + 1/2 of 1024.

    So 59 columns (i from 69 on), 69 rows (to 68) and 25 (from 103 on).
    """
    values = thirds(1, 255, 255)
    root = write(tmp_path / "data", "JPEGImages/a.jpg", "SegmentationClass/a.png", values, VOC_LIST)
    asked = ("--data", "voc", "--root", root, *COLOURS)
    plain, diffcut = command(*asked), command(*asked, "--as", "diffcut")
    assert "| background | 0 | nan |" in plain
    assert f"| background | {59 * (69 + 25):,} |" in diffcut and pixels(diffcut) == 128 * 128


def pixels(printed):
    return sum(int(each.replace(",", "")) for each in re.findall(r"^\| [a-z ]+ \| ([\d,]+) \|", printed, re.MULTILINE))


def test_diffseg_scores_the_middle_square_at_512_pixels(command, tmp_path):
    root = write(tmp_path / "data", "images/validation/1.jpg", "annotations/validation/1.png", thirds(1, 150, 0))
    wide = np.concatenate([np.full((16, 10), 3, np.uint8), thirds(1, 150, 0), np.full((16, 11), 3, np.uint8)], 1)
    save(root / "annotations/validation/1.png", wide)
    grey = np.full((16, 10, 3), 128, np.uint8)
    save(root / "images/validation/1.jpg", np.concatenate([grey, halves(), grey, grey[:, :1]], 1))
    printed = command("--data", "ade20k", "--root", root, "--as", "diffseg", *COLOURS)
    assert "ceiling" not in printed and "| sky |" not in printed and pixels(printed) == 512 * 512 * 7 // 8
    assert figures(printed, "as matched") == pytest.approx([0.733, 0.733, 0.857], abs=0.01)


def test_surplus_clusters_and_a_background_by_truth_are_told_apart(command, tmp_path, monkeypatch):
    """Four clusters, of which two in the background: 64 and 32 + 32 pixels of it, and the class's 128."""
    labels = np.repeat(np.repeat([[0, 1], [0, 2], [0, 3], [0, 3]], 4, 0), 8, 1)
    monkeypatch.setitem(METHODS, "fixed", lambda pipeline, image: labels)
    monkeypatch.setattr("protocols.scorer.NO_MODEL", NO_MODEL | {"fixed"})
    values = thirds(1, 0, 0)
    values[8:, 8:] = 0  # all of the right is background: 32, 32 and 64 pixels in three clusters
    root = write(tmp_path / "data", "JPEGImages/a.jpg", "SegmentationClass/a.png", values, VOC_LIST)
    printed = command("--data", "voc", "--root", root, "--method", "fixed")
    assert figures(printed, "as matched") == [round((1 + 0.5 + 0 + 0) / 4, 3), 0.75, 0.75]
    assert figures(printed, "surplus clusters count for nothing") == [0.75, 0.75, 0.75]
    assert figures(printed, "background merged by the truth") == [1, 1, 1]


# --- going on, and what is refused ---


def test_it_goes_on_where_it_stopped_whatever_was_left_half_written(command, tmp_path):
    asked = ("--data", "voc", "--root", many(tmp_path), *COLOURS)
    command(*asked, "--count", 1)
    log = tmp_path / "out" / "voc, plain, kmeans-colour, 2 segments.jsonl"
    first = log.read_text()
    log.write_text(first + '{"seed": "1", "coun')
    printed = command(*asked)
    assert log.read_text().startswith(first) and [row["seed"] for row in logged(tmp_path, log.stem)] == ["0", "1", "2"]
    assert " 3 of the 1,449 pictures" in printed and figures(printed, "as matched") == [0.733, 0.733, 0.857]
    assert (tmp_path / "out" / f"{log.stem}, per-image.md").read_text().strip() == printed.strip()


def test_a_cluster_is_given_plain_values_and_gives_the_same(command, tmp_path, monkeypatch):
    """In Ray's place: what is made from a job that went through pickle, for names that went through JSON."""
    asked, clusters = ("--data", "voc", "--root", many(tmp_path), *COLOURS), []

    def spread(make, job, names, cluster):
        clusters.append(cluster)
        work = make(pickle.loads(pickle.dumps(job)))
        yield from ((name, work(name)) for name in reversed(json.loads(json.dumps(names))))

    stand_in = SimpleNamespace(spread=spread, Cluster=lambda *given: given)
    monkeypatch.setitem(sys.modules, "batch.cluster", stand_in)
    printed = command(*asked, "--cluster", "local", "--workers", 2)
    assert clusters == [("local", 2, tmp_path / "out" / "workers", (tmp_path / "data",))]
    (tmp_path / "out" / "voc, plain, kmeans-colour, 2 segments.jsonl").unlink()
    assert command(*asked) == printed


def test_all_that_is_kept_is_scored_again_without_a_method(command, tmp_path, monkeypatch):
    asked = ("--data", "voc", "--root", many(tmp_path), "--protocol", "modified", *COLOURS)
    before = command(*asked)
    monkeypatch.setitem(METHODS, "kmeans-colour", None)
    assert command(*asked) == before
    cosine = command(*asked, "--nearest", "cosine")
    assert figures(cosine, "nearest concept") == [0.733, 0.733, 0.857]


def test_a_full_disk_is_a_sentence_and_keeps_what_was_done(command, tmp_path, monkeypatch):
    asked = ("--data", "voc", "--root", many(tmp_path), *COLOURS)
    command(*asked, "--count", 2)

    def full(file, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "write_out", full)
    said = command(*asked, code=1)
    assert said.startswith(f"{tmp_path / 'out'} takes no more (No space left on device). What was done stays: ")
    assert len(logged(tmp_path, "voc, plain, kmeans-colour, 2 segments")) == 2


@pytest.mark.parametrize("data", DATA)
def test_a_data_set_that_is_not_there_says_what_was_looked_for(command, tmp_path, data):
    said = command("--data", data, "--root", tmp_path / "nowhere", *COLOURS, code=1)
    assert said.startswith(f"there is no such data set in {tmp_path / 'nowhere'}: looked for ")
    layout = DATA[data].layouts[0]
    assert layout.pictures[0] in said and layout.labels[0] in said and layout.tops[-1] in said


def test_what_is_missing_or_does_not_fit_is_named(command, tmp_path):
    root = many(tmp_path)
    asked, labels = ("--data", "voc", "--root", root, *COLOURS), root / "SegmentationClass/1.png"
    labels.unlink()
    assert f"1 of 6 files are missing, the first is {labels}" in command(*asked, code=1)
    save(labels, np.zeros((5, 16), np.uint8))
    said = command(*asked, code=1)
    assert f"{labels} has 5 x 16 labels, {root / 'JPEGImages/1.jpg'} has 16 x 16 pixels" in said
    assert [row["seed"] for row in logged(tmp_path, "voc, plain, kmeans-colour, 2 segments")] == ["0"]
    save(labels, np.full((16, 16), 21, np.uint8))
    assert f"{labels} holds the label 21, which this data set does not have" in command(*asked, code=1)
    save(labels, halves())
    assert f"{labels} holds colours (mode RGB), not labels: use the published label files" in command(*asked, code=1)
    labels.write_bytes(b"no picture")
    assert f"{labels} cannot be read: cannot identify image file" in command(*asked, code=1)
    save(labels, thirds(1, 2, 255))
    assert " 3 of the 1,449 pictures" in command(*asked)
    (root / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff")
    assert "can't decode byte 0xff in position 0" in command(*asked, code=1)


def test_legends_and_methods_and_numbers_that_do_not_fit_are_refused(command, tmp_path):
    _, files, values, texts = LAYOUTS["Context as published, classes by name"]
    picture, labels = files.split()
    root = write(tmp_path / "data", picture, labels, values, texts)
    (root / "labels.txt").write_text("1: aeroplane\n")
    asked = ("--data", "context", "--root", root)
    assert f"{root / 'labels.txt'} has no line for bag, bed, " in command(*asked, *COLOURS, code=1)
    assert "there is no method emerdiff: --method takes emerdiff paper, " in command(
        *asked, "--method", "emerdiff", code=1
    )
    assert "finds no number of its own" in command(*asked, "--method", "kmeans-colour", "--segments", 0, code=1)
    write(root, picture, labels, np.zeros((16, 16), np.uint16), {"labels.txt": CONTEXT_LABELS})
    assert "no pixel of these pictures is of any class" in command(*asked, *COLOURS, code=1)
    (root / labels).write_bytes(b"no matrix")
    (tmp_path / "out" / "context, plain, kmeans-colour, 2 segments.jsonl").unlink()
    assert f"{root / labels} cannot be read" in command(*asked, *COLOURS, code=1)


def test_what_segment_wrote_among_the_pictures_is_not_scored(command, tmp_path):
    picture = "images/validation/1.jpg"
    root = write(tmp_path / "data", picture, "annotations/validation/1.png", thirds(1, 150, 0))
    asked = ("--data", "ade20k", "--root", root, *COLOURS)
    before, output = command(*asked), root / "images/validation/results"
    (output / "overlays").mkdir(parents=True)
    (output / "overlays/1.jpg.jpg").write_bytes((root / picture).read_bytes())
    (output / "segments.jsonl").touch()
    assert command(*asked) == before


def test_a_method_that_refuses_a_picture_names_it(command, tmp_path, monkeypatch):
    def refuses(pipeline, image):
        raise ValueError("one flat colour")

    monkeypatch.setitem(METHODS, "kmeans-colour", refuses)
    root = many(tmp_path)
    said = command("--data", "voc", "--root", root, *COLOURS, code=1)
    assert f"{root / 'JPEGImages/0.jpg'}: one flat colour" in said
