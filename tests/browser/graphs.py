"""Graphs for the tests in a browser, as lists of nodes, and the ones that several tests use."""

from typing import Any, NamedTuple

MAKE_ONE = """async ([scenes, segments]) => {
    app.clean()
    const make = (type, x, y, values = {}) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, y]
        app.graph.add(node)
        for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name]
        return node
    }
    const model = make("EmerDiffLabSmallModel", 0, 0, { pause: 0 })
    const images = scenes.map((image, index) => make("LoadImage", 0, 200 + 360 * index, { image }))
    const image = images.length === 1 ? images[0] : make("ImageBatch", 320, 400)
    const segment = make("EmerDiffSegmentImage", 320, 0, { segments, preset: "fast", seed: 0 })
    const select = make("EmerDiffSelectSegments", 640, 0, { selection: "", invert: false })
    const mask = make("MaskToImage", 1020, 0)
    const preview = make("PreviewImage", 1020, 90)
    if (images.length > 1) images.forEach((each, index) => each.connect(0, image, index))
    ;["model", "conditioning", "vae"].forEach((name, output) => model.connect(output, segment, name))
    image.connect(0, segment, "image")
    image.connect(0, select, "image")
    segment.connect(1, select, "segmentation")
    select.connect(0, mask, 0)
    mask.connect(0, preview, 0)
    await app.loadGraphData(app.graph.serialize()) // as a user opens it, with nothing left of what was there before
}"""
MAKE = """async ([nodes, promoted]) => {
    app.clean()
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
