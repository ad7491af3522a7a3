"""Graphs for the tests in a browser, as lists of nodes, and the ones that several tests use."""

from typing import Any, NamedTuple

SCENES = ("scene.png", "other.png")
SEGMENTS = 6
MAKE = """async ([nodes, promoted]) => {
    app.clean()
    app.graph.id = crypto.randomUUID() // front ends keep widgets' values by the ids of graph and node
    const made = nodes.map(({ type, place, widgets }) => {
        const node = LiteGraph.createNode(type)
        node.pos = place
        app.graph.add(node)
        for (const widget of node.widgets ?? []) if (widget.name in widgets) widget.value = widgets[widget.name]
        return node
    })
    nodes.forEach(({ links }, index) => {
        for (const [input, [from, output]] of Object.entries(links)) made[from].connect(output, made[index], input)
    })
    if (promoted) await promote(promoted)
    await app.loadGraphData(app.graph.serialize()) // as a user opens it, with nothing left of what was there before

    // A node into a subgraph, with some of its inputs on the subgraph's node; a subgraph in a subgraph, for two times.
    async function promote({ type, names, times }) {
        for (let time = 0; time < times; time++) {
            const node = app.graph.nodes.find((each) => each.type === type || each.subgraph)
            const { subgraph, node: host } = app.graph.convertToSubgraph(new Set([node]))
            host.pos = node.pos
            const [inner] = subgraph.nodes
            for (const name of names) {
                const slot = inner.inputs.find((input) => input.name === name)
                subgraph.addInput(name, slot.type).connect(slot, inner)
            }
        }
    }
}"""


class Node(NamedTuple):
    """A node of a graph: its widgets' values, and for its inputs (number of the node in the list, output)."""

    type: str
    place: tuple[float, float]
    widgets: dict[str, Any] = {}
    links: dict[str, tuple[int, int]] = {}


class Promoted(NamedTuple):
    """A type of node that is put into a subgraph, `times` deep, and inputs of it that the subgraph's node has too."""

    type: str
    names: tuple[str, ...]
    times: int = 1


def as_json(nodes: list[Node], promoted: Promoted | None = None) -> list:
    return [[node._asdict() for node in nodes], promoted and promoted._asdict()]


def model_links(number: int) -> dict[str, tuple[int, int]]:
    """What a node takes of the small model, the node of this number."""
    return {"model": (number, 0), "conditioning": (number, 1), "vae": (number, 2)}


def segmented(select: Node, pictures: int = 1) -> list[Node]:
    """One picture or two, the segmentation, and Select Segments behind it, the node of number 3; of one six nodes."""
    image = (1, 0) if pictures == 1 else (7, 0)
    more = [
        Node("LoadImage", (0, 560), {"image": SCENES[1]}),
        Node("ImageBatch", (320, 400), {}, {"image1": (1, 0), "image2": (6, 0)}),
    ]
    settings = {"segments": SEGMENTS, "preset": "fast", "seed": 0}
    return [
        Node("EmerDiffLabSmallModel", (0, 0), {"pause": 0}),
        Node("LoadImage", (0, 200), {"image": SCENES[0]}),
        Node("EmerDiffSegmentImage", (320, 0), settings, model_links(0) | {"image": image}),
        select._replace(place=(640, 0), links=select.links | {"segmentation": (2, 1), "image": image}),
        Node("MaskToImage", (1020, 0), {}, {"mask": (3, 0)}),
        Node("PreviewImage", (1020, 90), {}, {"images": (4, 0)}),
        *(more if pictures > 1 else []),
    ]
