"""Lists and batches in every node: a batch is one value of several pictures, a list runs through the nodes one by one.

docs/compatibility.md has the table that these tests show.
"""

from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from small_model.scenes import HELD_OUT, scene

SEGMENTS = 3
SIDE = 64  # pixels; the model sees a picture in twice as many a side, unless a resolution is asked for
FOLDERS = count()
SCENES = [scene(HELD_OUT + number, SIDE) for number in range(2)]


@pytest.fixture(scope="module")
def names(client):
    pixels = [(each.image * 255).round().astype(np.uint8) for each in SCENES]
    return [client.put_image(f"list_{n}.png", Image.fromarray(each)) for n, each in enumerate(pixels)]


class Graph:
    """A prompt with the small model and both scenes, as a batch and as a list."""

    def __init__(self, client, names):
        self.client, self.prompt = client, {}
        model = self.add("EmerDiffLabSmallModel")
        self.source = {"model": [model, 0], "vae": [model, 2], "conditioning": [model, 1]}
        self.clip = [model, 3]
        loaded = [[self.add("LoadImage", image=name), 0] for name in names]
        self.one = loaded[0]
        self.batch = [self.add("ImageBatch", image1=loaded[0], image2=loaded[1]), 0]
        self.list = [self.add("RebatchImages", images=self.batch, batch_size=1), 0]

    def add(self, node, **inputs):
        return self.client.add(self.prompt, node, **inputs)

    def segment(self, image, **inputs):
        settings = {"segments": SEGMENTS, "preset": "fast", "seed": 0, **inputs}
        return self.add("EmerDiffSegmentImage", **self.source, image=image, **settings)

    def by_hand(self, image):
        extract = self.add("EmerDiffExtractFeatures", **self.source, image=image, seed=0)
        cluster = self.add("EmerDiffClusterFeatures", features=[extract, 0], segments=SEGMENTS, seed=0)
        wired = {"trajectory": [extract, 1], "low_res_masks": [cluster, 0]}
        maps = self.add("EmerDiffModulateAttention", **self.source, **wired, preset="fast", image=image)
        specks = {"min_area": 0.0002, "fill_holes": 0.0002}  # what Segment Image does unasked
        assemble = self.add("EmerDiffAssembleMasks", difference_maps=[maps, 0], **specks)
        return extract, assemble

    def blob(self):
        """A mask over a part of the picture."""
        solid = self.add("SolidMask", value=1.0, width=SIDE // 2, height=SIDE // 3)
        empty = self.add("SolidMask", value=0.0, width=SIDE, height=SIDE)
        placed = {"x": SIDE // 5, "y": SIDE // 3, "operation": "add"}
        return [self.add("MaskComposite", destination=[empty, 0], source=[solid, 0], **placed), 0]

    def show(self, mask):
        image = self.add("MaskToImage", mask=mask)
        return self.add("PreviewImage", images=[image, 0])

    def shown(self, *masks):
        """For each MASK what MaskToImage shows of it, [N, H, W] uint8."""
        previews = [self.show(mask) for mask in masks]
        outputs = self.client.run(self.prompt)
        return [self.client.pixels(outputs[each])[..., 0] for each in previews]

    def labels(self, *segmentations):
        """For each wire the label maps of every value that came, one [B, H, W] for each element of the list."""
        folders = [f"lists/{next(FOLDERS)}" for _ in segmentations]
        for folder, wire in zip(folders, segmentations):
            self.add("EmerDiffSave", value=wire, filename_prefix=f"{folder}/x")
        self.client.run(self.prompt)
        found = []
        for folder in folders:
            paths = sorted((self.client.server.base / "output" / folder).glob("*.safetensors"))
            found.append([tensor(path, "labels") for path in paths])
        return found


def tensor(path, name):
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


@pytest.fixture
def graph(client, names):
    return Graph(client, names)


def test_segment_image_gives_a_list_as_many_results_as_the_four_steps_by_hand(graph):
    one, hand, batch = graph.segment(graph.list), graph.by_hand(graph.list)[1], graph.segment(graph.batch)
    ours, theirs, together = graph.labels([one, 1], [hand, 1], [batch, 1])
    assert [each.shape for each in ours] == [each.shape for each in theirs] == [(1, SIDE, SIDE)] * 2
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs)) and not torch.equal(*ours)
    assert [each.shape for each in together] == [(2, SIDE, SIDE)]


def test_every_output_of_segment_image_is_of_its_own_kind_on_a_list(graph):
    one = graph.segment(graph.list, seed=5)
    label_images = graph.add("PreviewImage", images=[one, 2])
    masks = graph.show([one, 0])
    outputs = graph.client.run(graph.prompt)
    assert graph.client.pixels(outputs[label_images]).shape == (2, SIDE, SIDE, 3)
    shown = graph.client.pixels(outputs[masks])[..., 0]
    assert shown.shape == (2 * SEGMENTS, SIDE, SIDE)
    assert all(((half == 255).sum(0) == 1).all() for half in (shown[:SEGMENTS], shown[SEGMENTS:]))
    assert len(outputs[one]["images"]) == 2  # the node's own preview


def test_a_list_of_settings_runs_through_segment_image_beside_the_pictures(graph):
    numbers = graph.add("EmerDiffEach", values={"__value__": [2, 4]})
    beside, several = (graph.segment(image, segments=[numbers, 0]) for image in (graph.list, graph.one))
    zipped, each = graph.labels([beside, 1], [several, 1])
    assert [int(labels.max()) + 1 for labels in zipped] == [int(labels.max()) + 1 for labels in each] == [2, 4]


def test_changes_on_a_list_run_again_only_what_they_concern(graph):
    one = graph.segment(graph.list, seed=6)
    graph.show([one, 0])
    graph.client.run(graph.prompt)
    graph.prompt[one]["inputs"]["preset"] = "balanced"
    assert graph.client.evaluations(graph.prompt) == 2 * 4  # four levels a picture; nothing extracted anew
    assert graph.client.evaluations(graph.prompt) == 0


def test_lift_mask_on_lists_and_batches(graph):
    """Masks of one picture, one mask for a batch, a mask for each picture, lists of either."""
    blob, settings = graph.blob(), {"preset": "fast", "seed": 0, "resolution": SIDE}
    inverted = [graph.add("InvertMask", mask=blob), 0]
    images = [[graph.add("MaskToImage", mask=mask), 0] for mask in (blob, inverted)]
    both = [graph.add("ImageBatch", image1=images[0], image2=images[1]), 0]
    pair = [graph.add("ImageToMask", image=both, channel="red"), 0]  # a batch of two masks
    several = [graph.add("ImageToMask", image=[graph.add("RebatchImages", images=both, batch_size=1), 0],
                         channel="red"), 0]  # fmt: skip
    lifted = [
        [graph.add("EmerDiffLiftMask", **graph.source, image=image, mask=mask, **settings), 0]
        for image, mask in (
            (graph.one, blob), (graph.one, pair), (graph.batch, blob), (graph.batch, pair), (graph.list, blob),
            (graph.list, pair), (graph.list, several), (graph.one, several),
        )
    ]  # fmt: skip
    shown = graph.shown(*lifted)
    assert [len(each) for each in shown] == [1, 2, 2, 2, 2, 4, 2, 2]
    single, two, batch, dealt, listed, crossed, zipped, masks = shown
    assert np.array_equal(single[0], listed[0])
    assert np.array_equal(two, crossed[:2])
    assert np.array_equal(zipped[0], listed[0]) and not np.array_equal(zipped[1], listed[1])
    assert np.array_equal(masks[0], single[0])


def test_the_tools_on_a_list_and_on_a_batch(graph):
    settings = {"text": "star, disc", "count": 1, "threshold": 0.0, "seed": 0}
    reader = {"model": graph.source["model"], "vae": graph.source["vae"], "clip": graph.clip}
    found, merged, boxes, segs = {}, {}, {}, {}
    for name, image in (("list", graph.list), ("batch", graph.batch)):
        extract, assemble = graph.by_hand(image)
        segmentation = [assemble, 1]
        found[name] = [
            graph.add("EmerDiffSelectByText", segmentation=segmentation, image=image, **reader, **settings),
            0,
        ]
        merged[name] = [graph.add("EmerDiffMergeSegments", segmentation=segmentation, features=[extract, 0], target=2,
                                  similarity=0.0), 0]  # fmt: skip
        boxes[name] = graph.add("EmerDiffBoundingBoxes", masks=[assemble, 0], image=image, padding=0)
        graph.add("PreviewAny", source=[boxes[name], 1])
        segs[name] = graph.add("EmerDiffToSEGS", segmentation=segmentation, image=image, selection="",
                               crop_factor=1.0, min_area=0.0)  # fmt: skip
        graph.add("PreviewAny", source=[segs[name], 0])
    joined = graph.shown(*found.values())
    assert [len(each) for each in joined] == [4, 4]  # two phrases for each picture
    fewer = graph.labels(*merged.values())
    assert [len(each) for each in fewer] == [2, 1] and fewer[1][0].shape == (2, SIDE, SIDE)


def test_saved_and_loaded_one_by_one(graph):
    saved = graph.add("EmerDiffSave", value=[graph.by_hand(graph.list)[1], 1], filename_prefix="lists/kept/x")
    names = graph.client.run(graph.prompt)[saved]["text"]
    assert len(names) == 2
    files = graph.add("EmerDiffEach", values={"__value__": [f"lists/kept/{name}" for name in names]})
    loaded = graph.add("EmerDiffLoad", file_name=[files, 0])
    back, direct = graph.labels([loaded, 0], [saved, 0])
    assert all(torch.equal(a, b) for a, b in zip(back, direct, strict=True))


def test_a_name_by_a_link_does_not_make_everything_run_again(graph):
    """Counted in UNet evaluations of what follows: the lifting of a loaded value's maps."""
    extract = graph.by_hand(graph.one)[0]
    kept = {}
    for kind, wire in (("trajectory", [extract, 1]), ("features", [extract, 0])):
        save = graph.add("EmerDiffSave", value=wire, filename_prefix=f"lists/linked/{kind}")
        kept[kind] = save
    outputs = graph.client.run(graph.prompt)
    names = {kind: f"lists/linked/{outputs[save]['text'][0]}" for kind, save in kept.items()}
    fresh = Graph(graph.client, ["list_0.png", "list_1.png"])
    wires = {}
    for kind, name in names.items():
        text = fresh.add("PrimitiveString", value=name)
        wires[kind] = [fresh.add("EmerDiffLoad", file_name=[text, 0]), 0]
    cluster = fresh.add("EmerDiffClusterFeatures", features=wires["features"], segments=2, seed=0)
    maps = fresh.add("EmerDiffModulateAttention", **fresh.source, trajectory=wires["trajectory"],
                     low_res_masks=[cluster, 0], preset="fast")  # fmt: skip
    assemble = fresh.add(
        "EmerDiffAssembleMasks", difference_maps=[maps, 0], smoothing=1.0, min_area=0.0, normalize=False
    )
    fresh.show([assemble, 0])
    assert [fresh.client.evaluations(fresh.prompt) for _ in range(3)] == [2, 0, 0]
