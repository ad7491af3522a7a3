"""The published data sets by name: their layouts, their classes, and how many pictures published figures are of.

Numbers and names are the data sets' own. The 27 coarse classes of COCO-Stuff are in the order that unsupervised
segmentation has had since IIC, and the list of 2,175 of its pictures is from there too; the background, where it is a
class, comes last. Cityscapes has 27 classes (labels 7 to 33) or the 19 that are trained on; PASCAL-Context 59, 60 with
the background, or all 459.
"""

from pathlib import Path
from typing import NamedTuple

from protocols.layouts import IGNORED, Layout

CLASSES = Path(__file__).parent / "classes"
COARSE = tuple(
    "electronic appliance food furniture indoor kitchen accessory animal outdoor person sports vehicle ceiling "
    "floor food-stuff furniture-stuff raw-material textile wall window building ground plant sky solid structural "
    "water".split()
)
VOC = tuple(
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor".split()
)
CONTEXT = tuple(
    "aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus cabinet car cat ceiling chair cloth "
    "computer cow cup curtain dog door fence floor flower food grass ground horse keyboard light motorbike mountain "
    "mouse person plate platform pottedplant road rock sheep shelves sidewalk sign sky snow sofa table track train "
    "tree truck tvmonitor wall water window wood".split()
)
CITYSCAPES = tuple(  # labels 7 to 33
    "road,sidewalk,parking,rail track,building,wall,fence,guard rail,bridge,tunnel,pole,polegroup,traffic light,"
    "traffic sign,vegetation,terrain,sky,person,rider,car,truck,bus,caravan,trailer,train,motorcycle,bicycle".split(",")
)
UNTRAINED = {"parking", "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer"}
VOID = 255
COCO_PICTURES = 5000  # of val2017


class DataSet(NamedTuple):
    """A published data set."""

    classes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    pictures: int  # that published figures are of
    background: int | None = None  # the class that is everything else


def table(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (CLASSES / name).read_text().splitlines()]


# --- COCO: labels 0..181, of which eleven never occur; things come first ---

FINE = [(int(number), name, coarse) for number, name, coarse in table("coco_stuff.txt")]
THINGS = [(number, name) for number, name, _ in FINE if number < 91]


def coco(meaning: dict[int, int], void: int = IGNORED, listed: bool = False) -> tuple[Layout, ...]:
    labels = ("stuffthingmaps/val2017", "annotations/val2017", "annotation_val2017")
    names = CLASSES / "coco_stuff_pictures.txt" if listed else ""
    return (Layout(("", "coco"), ("images/val2017", "val2017"), labels, {**meaning, VOID: void}, names),)


COARSE_OF = {number: COARSE.index(coarse) for number, _, coarse in FINE}
FINE_OF = {number: place for place, (number, _, _) in enumerate(FINE)}
OBJECT_OF = {number: len(THINGS) for number, _, _ in FINE} | {n: place for place, (n, _) in enumerate(THINGS)}
OBJECTS = (*(name for _, name in THINGS), "background")

# --- the others ---


def voc(background: int, void: int) -> tuple[Layout, ...]:
    meaning = {0: background, VOID: void, **{1 + place: place for place in range(len(VOC))}}
    tops = ("", "VOC2012", "VOCdevkit/VOC2012")
    names = "ImageSets/Segmentation/val.txt"
    return (Layout(tops, ("JPEGImages",), ("SegmentationClass",), meaning, names),)


def context(other: int) -> tuple[Layout, ...]:
    """The label images that most prepare, those of detectron2's scripts, and the matrices as published."""
    tops, prepared, pictures = ("", "VOC2010", "VOCdevkit/VOC2010"), ("", "pascal_ctx_d2"), ("JPEGImages",)
    places = range(len(CONTEXT))
    shifted = {0: other, VOID: IGNORED, **{1 + place: place for place in places}}
    plain = {VOID: other, **{place: place for place in places}}
    return (
        Layout(tops, pictures, ("SegmentationClassContext",), shifted, "ImageSets/SegmentationContext/val.txt"),
        Layout(prepared, ("images/validation",), ("annotations_ctx59/validation",), plain),
        Layout(tops, pictures, ("trainval",), {}, "ImageSets/Main/val.txt", (".jpg", ".mat"), "labels.txt", other),
    )


def context_459() -> tuple[Layout, ...]:
    tops, meaning = ("", "VOC2010", "VOCdevkit/VOC2010"), {0: IGNORED, **{1 + n: n for n in range(459)}}
    prepared = {65535: IGNORED, **{n: n for n in range(459)}}
    return (
        Layout(tops, ("JPEGImages",), ("trainval",), meaning, "ImageSets/Main/val.txt", (".jpg", ".mat")),
        Layout(
            ("", "pascal_ctx_d2"),
            ("images/validation",),
            ("annotations_ctx459/validation",),
            prepared,
            ends=(".jpg", ".tif"),
        ),
    )


def cityscapes(kept: tuple[str, ...]) -> tuple[Layout, ...]:
    unknown = {**dict.fromkeys(range(7), IGNORED), VOID: IGNORED}
    meaning = {7 + n: kept.index(name) if name in kept else IGNORED for n, name in enumerate(CITYSCAPES)}
    ends = ("_leftImg8bit.png", "_gtFine_labelIds.png")
    return (Layout(("", "cityscapes"), ("leftImg8bit/val",), ("gtFine/val",), {**unknown, **meaning}, ends=ends),)


def ade20k(meaning: dict[int, int]) -> tuple[Layout, ...]:
    tops = ("", "ADEChallengeData2016")
    return (Layout(tops, ("images/validation",), ("annotations/validation",), meaning),)


ADE20K = tuple(name for (name,) in table("ade20k.txt"))
TRAINED = tuple(name for name in CITYSCAPES if name not in UNTRAINED)
NUMBERS = tuple(str(1 + n) for n in range(459))

DATA = {
    "coco-stuff-27": DataSet(COARSE, coco(COARSE_OF, listed=True), 2175),
    "coco-stuff-171": DataSet(tuple(name for _, name, _ in FINE), coco(FINE_OF), COCO_PICTURES),
    "coco-object": DataSet(OBJECTS, coco(OBJECT_OF, void=len(THINGS)), COCO_PICTURES, len(THINGS)),
    "ade20k": DataSet(ADE20K, ade20k({0: IGNORED, **{1 + n: n for n in range(150)}}), 2000),
    "voc": DataSet((*VOC, "background"), voc(len(VOC), IGNORED), 1449, len(VOC)),
    "voc-20": DataSet(VOC, voc(IGNORED, IGNORED), 1449),
    "context": DataSet(CONTEXT, context(IGNORED), 5105),
    "context-60": DataSet((*CONTEXT, "background"), context(len(CONTEXT)), 5105, len(CONTEXT)),
    "context-459": DataSet(NUMBERS, context_459(), 5105),
    "cityscapes": DataSet(CITYSCAPES, cityscapes(CITYSCAPES), 500),
    "cityscapes-19": DataSet(TRAINED, cityscapes(TRAINED), 500),
}

# DiffCut's script: void belongs to the background; the unlabelled of ADE20K are a class and its last class is none.
DIFFCUT = {
    "voc": DataSet((*VOC, "background"), voc(len(VOC), len(VOC)), 1449, len(VOC)),
    "context": DATA["context-60"],
    "coco-object": DataSet(OBJECTS, coco(OBJECT_OF, len(THINGS), listed=True), 2175, len(THINGS)),
    "ade20k": DataSet(("unlabelled", *ADE20K[:-1]), ade20k({150: IGNORED, **{n: n for n in range(150)}}), 2000),
}


def whole(data: DataSet) -> DataSet:
    """Of all pictures that are there, not of a published list; only COCO has one."""
    layouts = tuple(each._replace(names="") if isinstance(each.names, Path) else each for each in data.layouts)
    return data if layouts == data.layouts else data._replace(layouts=layouts, pictures=COCO_PICTURES)
