"""Graphs for the tests in a browser, as lists of nodes, and the ones that several tests use."""

from typing import Any, NamedTuple

MAKE = """async (nodes) => {
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
    await app.loadGraphData(app.graph.serialize()) // as a user opens it, with nothing left of what was there before
}"""


class Node(NamedTuple):
    """A node of a graph: its widgets' values, and for its inputs (number of the node in the list, output)."""

    type: str
    place: tuple[float, float]
    widgets: dict[str, Any] = {}
    links: dict[str, tuple[int, int]] = {}


def as_json(nodes: list[Node]) -> list[dict]:
    return [node._asdict() for node in nodes]


def model_links(number: int) -> dict[str, tuple[int, int]]:
    """What a node takes of the small model, the node of this number."""
    return {"model": (number, 0), "conditioning": (number, 1), "vae": (number, 2)}
