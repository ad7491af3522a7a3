// Finds the subgraph node through which a subgraph is seen. All nodes of one subgraph share its inside.

import { app } from "../../../scripts/app.js"

const entered = new Map() // id of a subgraph -> id of the node through which it was opened last

app.registerExtension({
  name: "emerdiff.Subgraphs",
  setup() {
    app.canvas.canvas.addEventListener("subgraph-opened", ({ detail }) => {
      entered.set(detail.subgraph.id, detail.fromNode?.id)
    })
  },
})

/** The only node of this subgraph, or the one through which it was opened; undefined where neither is known. */
export function enteredThrough(subgraph) {
  const hosts = nodesOf(subgraph)
  return hosts.length === 1 ? hosts[0] : hosts.find((node) => node.id === entered.get(subgraph.id))
}

/** All nodes of a subgraph, wherever they are. */
export function nodesOf(subgraph) {
  const { rootGraph } = subgraph
  const graphs = [rootGraph, ...rootGraph.subgraphs.values()]
  return graphs.flatMap((graph) => graph.nodes.filter((node) => node.subgraph === subgraph))
}
