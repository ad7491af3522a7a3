"""Picking where the pictures come as a list, and where the texts stand elsewhere: linked, or on a subgraph node."""

import pytest
from front_end import HOSTS, PAINTED, SCENES, SEGMENTS, FrontEnd, found
from graphs import Node, Promoted, model_links, segmented
from ways import classic_own, other_two_ways, two_ways, vue_newest

SELECT = "EmerDiffSelectSegments"
POINT = '[{"x": 5, "y": 5}]'
NONE = {"selection": "", "positive_points": "", "negative_points": "", "invert": False}


def in_a_list(pictures: int, batch_size: int) -> list[Node]:
    """Pictures as a list of batches through the four steps into Select Segments."""
    images = [Node("LoadImage", (-640, 360 * each), {"image": SCENES[each % 2]}) for each in range(pictures)]
    batches = [Node("ImageBatch", (-320, 0), {}, {"image1": (0, 0), "image2": (1, 0)})]
    for each in range(2, pictures):
        last = (len(images) + len(batches) - 1, 0)
        batches.append(Node("ImageBatch", (-320, 120 * each), {}, {"image1": last, "image2": (each, 0)}))
    n = len(images) + len(batches)  # the number of the next
    image, model, extract, cluster, modulate, assemble, select = range(n, n + 7)
    preset = {"preset": "fast"}
    return [
        *images,
        *batches,
        Node("RebatchImages", (0, 200), {"batch_size": batch_size}, {"images": (n - 1, 0)}),
        Node("EmerDiffLabSmallModel", (0, 0), {"pause": 0}),
        Node("EmerDiffExtractFeatures", (320, 0), {"seed": 0}, model_links(model) | {"image": (image, 0)}),
        Node("EmerDiffClusterFeatures", (320, 400), {"segments": SEGMENTS, "seed": 0}, {"features": (extract, 0)}),
        Node(
            "EmerDiffModulateAttention",
            (320, 700),
            preset,
            model_links(model) | {"trajectory": (extract, 1), "low_res_masks": (cluster, 0)},
        ),
        Node("EmerDiffAssembleMasks", (640, 700), {}, {"difference_maps": (modulate, 0)}),
        Node(SELECT, (640, 0), NONE, {"segmentation": (assemble, 1), "image": (image, 0)}),
        Node("MaskToImage", (1020, 0), {}, {"mask": (select, 0)}),
        Node("PreviewImage", (1020, 100), {}, {"images": (select + 1, 0)}),
    ]


def promoted(front_end: FrontEnd, times: int = 1, **texts) -> None:
    """Select Segments in a subgraph, with its texts on the subgraph's node; run, then opened."""
    front_end.make_promoted(segmented(Node(SELECT, (0, 0), NONE | texts)), Promoted(SELECT, tuple(NONE), times))
    front_end.run()
    enter(front_end)


def enter(front_end: FrontEnd, number: int = 0) -> None:
    front_end.enter_subgraph(number)
    front_end.wait_for_picture()


def on_host(front_end: FrontEnd, name: str, number: int = 0):
    value = f"{HOSTS}[{number}].widgets.find((widget) => widget.name === '{name}').value"
    return front_end.page.evaluate(value)


def shown(front_end: FrontEnd) -> str:
    front_end.page.wait_for_timeout(400)
    return front_end.status


@classic_own
@pytest.mark.parametrize(("pictures", "batch_size"), [(2, 1), (3, 2)], ids=["a list", "a list of batches"])
def test_a_list_has_a_page_and_a_list_of_numbers_a_picture(front_end, pictures, batch_size):
    front_end.make(in_a_list(pictures, batch_size))
    front_end.run()
    front_end.wait_for_picture()
    labels = front_end.labels()
    assert len(labels) == pictures
    front_end.click(labels[0], 2)
    front_end.press("\u2039")  # the last page
    front_end.wait_for_picture()
    front_end.click(labels[-1], 1)
    assert front_end.picked == "; ".join(["2", *[""] * (pictures - 2), "1"])
    front_end.run()
    masks = front_end.masks()
    assert (masks[0] == (labels[0] == 2)).all() and (masks[-1] == (labels[-1] == 1)).all()
    assert len(masks) == pictures and not masks[1:-1].any()
    front_end.shot(f"list_{batch_size}")


@classic_own
def test_in_a_list_only_pictures_with_a_selection_go_on(front_end):
    front_end.make(in_a_list(2, 1))
    front_end.set(SELECT, "selection", "; 1")
    front_end.run()
    (mask,) = front_end.masks()
    assert (mask == (front_end.labels()[1] == 1)).all()


@two_ways
def test_a_linked_text_is_drawn_as_it_was_used_and_not_written(front_end):
    graph = segmented(Node(SELECT, (0, 0), NONE | {"selection": "1 @00000000"}, {"selection": (6, 0)}))
    front_end.make([*graph, Node("PrimitiveString", (320, 400), {"value": "3"})])
    assert "comes from a link" in front_end.page.locator(".emerdiff-hint").inner_text()
    front_end.run()
    front_end.wait_for_picture()
    (labels,) = front_end.labels()
    area = f"{100 * (labels == 3).mean():.1f}%"
    assert (front_end.masks()[0] == (labels == 3)).all()
    assert shown(front_end) == f"{area} - selection comes from a link"
    front_end.click(labels, 0)
    assert front_end.selection == "1 @00000000" and shown(front_end).startswith(area)
    assert front_end.page.locator(".emerdiff-bar button:visible").count() == 0
    front_end.shot("linked")


@other_two_ways
def test_linked_points_and_boxes_are_drawn_and_clicks_go_on(front_end):
    links = {"positive_points": (6, 0), "boxes": (7, 0)}
    graph = segmented(Node(SELECT, (0, 0), NONE, links))
    painted = Node("LoadImage", (-320, 0), {"image": PAINTED})
    boxes = Node("EmerDiffBoundingBoxes", (320, 500), {}, {"masks": (8, 1)})
    front_end.make([*graph, Node("PrimitiveString", (320, 400), {"value": POINT}), boxes, painted])
    front_end.run()
    front_end.wait_for_picture()
    (labels,) = front_end.labels()
    (mask,) = front_end.masks()
    assert f"{100 * mask.mean():.1f}%, with the points and boxes" in shown(front_end)
    front_end.set(SELECT, "invert", True)
    assert f"{100 - 100 * mask.mean():.1f}%" in shown(front_end)
    front_end.click(labels, 2)
    assert front_end.picked == "2"


@two_ways
@pytest.mark.parametrize("times", [1, 2], ids=["in a subgraph", "in a subgraph in one"])
def test_a_click_writes_the_promoted_text_and_one_undo_takes_it_back(front_end, times):
    promoted(front_end, times=times)
    labels = front_end.labels()[0]
    front_end.click(labels, 3)
    assert on_host(front_end, "selection").split(" @")[0] == "3"
    assert shown(front_end).startswith("1 of 6 segments")
    front_end.shot(f"promoted_{times}")
    front_end.run()
    front_end.undo()
    assert on_host(front_end, "selection") == "" and shown(front_end) == "click what you want, then run again"
    front_end.undo("Control+y")
    assert on_host(front_end, "selection").split(" @")[0] == "3"
    front_end.leave_subgraph()
    assert (front_end.masks()[0] == (labels == 3)).all()


@other_two_ways
def test_promoted_points_and_inversion_are_drawn(front_end):
    promoted(front_end, selection="2")
    (labels,) = front_end.labels()
    for name, value in {"positive_points": POINT, "invert": True, "selection": "3"}.items():
        widget = f"{HOSTS}[0].widgets.find((each) => each.name === '{name}')"
        front_end.page.evaluate(f"(value) => {{ {widget}.value = value }}", value)
    there = {3, int(labels[5, 5])}
    assert shown(front_end).startswith(f"{SEGMENTS - len(there)} of {SEGMENTS} segments")
    front_end.click(labels, 3)  # not in the mask, because inverted: taken out of the numbers
    assert on_host(front_end, "selection") == ""


@vue_newest
def test_two_nodes_of_one_subgraph_each_have_their_own_text(front_end):
    promoted(front_end)
    copy = """() => {
        const [host] = HOSTS
        const other = LiteGraph.createNode(host.subgraph.id)
        app.rootGraph.add(other)
        const origin = (slot) => app.rootGraph.getLink(host.inputs[slot].link)
        for (const slot of [0, 1]) {
            const { origin_id, origin_slot } = origin(slot)
            app.rootGraph.getNodeById(origin_id).connect(origin_slot, other, slot)
        }
    }""".replace("HOSTS", HOSTS)
    front_end.leave_subgraph()
    front_end.page.evaluate(copy)
    front_end.run()
    for number in (1, 0):
        enter(front_end, number)
        front_end.click(front_end.labels()[0], 2 + number)
        assert on_host(front_end, "selection", number).split(" @")[0] == str(2 + number)
    assert on_host(front_end, "selection", 1).split(" @")[0] == "3"


@classic_own
def test_names_of_files_are_filled_in_as_in_save_image(front_end):
    image = Node("LoadImage", (0, 200), {"image": SCENES[0]})
    features = Node("EmerDiffExtractFeatures", (320, 0), {"seed": 77}, model_links(0) | {"image": (1, 0)})
    name = "tokens/%date:yyyy-MM-dd%/%EmerDiffExtractFeatures.seed%"
    save = Node("EmerDiffSave", (660, 0), {"filename_prefix": name}, {"value": (2, 0)})
    same = Node("SaveImage", (660, 200), {"filename_prefix": name}, {"images": (1, 0)})
    front_end.make([Node("EmerDiffLabSmallModel", (0, 0), {"pause": 0}), image, features, save, same], "EmerDiffSave")
    front_end.run()
    (theirs,) = front_end.outputs("SaveImage")["images"]
    assert theirs["filename"].startswith("77_")
    folder = front_end.server.base / "output" / theirs["subfolder"]
    assert (folder / front_end.outputs("EmerDiffSave")["text"][0]).exists()
    kept = front_end.page.evaluate(f"{found('EmerDiffSave')}.widgets[0].value")
    assert kept == name  # the workflow keeps what was typed


OF_BEFORE = """(union) => {
    const graph = app.graph.serialize()
    const save = graph.nodes.find((node) => node.type === "EmerDiffSave")
    save.inputs.find((slot) => slot.name === "value").type = union
    save.outputs[0].type = "*"
    for (const link of graph.links) if (link[1] === save.id) link[5] = "*"
    return graph
}"""
EVERY_TYPE = (
    "EMERDIFF_FEATURES,EMERDIFF_TRAJECTORY,EMERDIFF_LOW_RES_MASKS,EMERDIFF_DIFFERENCE_MAPS,EMERDIFF_SEGMENTATION"
)


@vue_newest
@pytest.mark.parametrize("saved_before", [False, True])
def test_what_goes_through_save_keeps_its_type(front_end, saved_before):
    """In workflows of before that, too, in which Save gave just anything."""
    image = Node("LoadImage", (0, 200), {"image": SCENES[0]})
    features = Node("EmerDiffExtractFeatures", (320, 0), {"seed": 0}, model_links(0) | {"image": (1, 0)})
    save = Node("EmerDiffSave", (660, 0), {"filename_prefix": "through/x"}, {"value": (2, 0)})
    cluster = Node("EmerDiffClusterFeatures", (1000, 0), {"segments": SEGMENTS, "seed": 0}, {"features": (3, 0)})
    again = Node("EmerDiffSave", (1340, 0), {"filename_prefix": "through/y"}, {"value": (4, 0)})
    model = Node("EmerDiffLabSmallModel", (0, 0), {"pause": 0})
    front_end.make([model, image, features, save, cluster, again], "EmerDiffSave")
    if saved_before:
        graph = front_end.page.evaluate(OF_BEFORE, EVERY_TYPE)
        front_end.page.evaluate("async (graph) => app.loadGraphData(graph)", graph)
        front_end.page.wait_for_timeout(500)
    assert front_end.page.evaluate(f"{found('EmerDiffSave')}.outputs[0].type") == "EMERDIFF_FEATURES"
    assert front_end.page.evaluate(f"{found('EmerDiffSave')}.outputs[0].links.length") == 1
    front_end.forget()
    front_end.run()
    assert front_end.outputs("EmerDiffClusterFeatures")["images"]
