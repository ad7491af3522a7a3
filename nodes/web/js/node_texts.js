// The texts of the node, wherever they stand: in its own widgets, or in those of the subgraph node it is in, where they
// were promoted. A text that comes through a link is in no widget: then it is what the server used in the last run.

import { app } from "../../../scripts/app.js"
import { enteredThrough } from "./subgraphs.js"
import { say } from "./texts.js"

const LINKED = "linked"
const SEVERAL = "several" // nodes of one subgraph, and unknown through which of them it was opened

export class NodeTexts {
  /** `main` is the text that plain clicks write. */
  constructor(node, main) {
    this.node = node
    this.main = main
    this.host = null // the subgraph node that the texts are looked for on; null: the one that was entered
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

  /** Into a text, the way of a change by hand, so that one undo takes it back. */
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

  /** {widget, node: whose it is, closed: null}, or {closed: why there is none, as a text's name}. */
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

/** The link into an input. A subgraph node's own getInputLink answers another question: what its output is linked to. */
function linkInto(node, slot) {
  return node.graph && window.LiteGraph.LGraphNode.prototype.getInputLink.call(node, slot)
}
