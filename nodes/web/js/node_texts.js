// The node's texts, wherever they are: in its own widgets or, if promoted, in those of the subgraph node around it. A text
// that comes through a link is in no widget; the server's value of the last run stands in for it.

import { app } from "../../../scripts/app.js"
import { enteredThrough } from "./subgraphs.js"
import { say } from "./texts.js"

const LINKED = "linked"
const SEVERAL = "several" // nodes of one subgraph, and it is unknown through which one it was opened

export class NodeTexts {
  /** `main` is the text that plain clicks write. */
  constructor(node, main) {
    this.node = node
    this.main = main
    this.host = null // the subgraph node on which to look for the texts; null: the one that was entered
    this.used = {} // what the server used for the page shown
  }

  value(name) {
    const { widget } = this.place(name)
    return widget ? widget.value : this.used[name]
  }

  get selection() {
    return String(this.value("selection") ?? "")
  }

  /** Why clicks cannot write; null where they can. */
  get closed() {
    return this.closedTo(this.main)
  }

  closedTo(name) {
    const { closed } = this.place(name)
    return closed && say(closed, { name })
  }

  /** Writes a text as a change by hand would, so that one undo takes it back. */
  write(text, name = "selection") {
    const { widget, node } = this.place(name)
    app.canvas.emitBeforeChange()
    try {
      widget.value = text
      widget.callback?.(text, app.canvas, node)
      node.graph.change()
    } finally {
      app.canvas.emitAfterChange()
    }
  }

  /** {widget, node: its owner, closed: null}, or {closed: the name of a text that says why there is no widget}. */
  place(name) {
    return placeOf(this.node, this.node.inputs?.findIndex((input) => input.name === name) ?? -1, name, this.host)
  }
}

function placeOf(node, slot, name, outer = null) {
  const link = slot < 0 ? null : linkInto(node, slot)
  if (!link) {
    const widget = (slot >= 0 && node.getWidgetFromSlot?.(node.inputs[slot])) || ownWidget(node, name)
    return widget ? { widget, node, closed: null } : { closed: LINKED }
  }
  if (link.origin_id !== node.graph.inputNode?.id) return { closed: LINKED }
  const host = outer ?? enteredThrough(node.graph)
  if (!host) return { closed: SEVERAL }
  const promoted = node.graph.inputs[link.origin_slot].name
  return placeOf(host, host.inputs.findIndex((input) => input.name === promoted), promoted)
}

function ownWidget(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/** The link into an input. A subgraph node's own getInputLink gives something else: what its output is linked to. */
function linkInto(node, slot) {
  return node.graph && window.LiteGraph.LGraphNode.prototype.getInputLink.call(node, slot)
}
