// The texts of the node: the only state of the picker is that of `selection`.

import { app } from "../../../scripts/app.js"

export class NodeTexts {
  constructor(node) {
    this.node = node
  }

  value(name) {
    return this.node.widgets.find((widget) => widget.name === name)?.value
  }

  get selection() {
    return String(this.value("selection") ?? "")
  }

  get linked() {
    return Boolean(this.node.inputs?.some((input) => input.name === "selection" && input.link != null))
  }

  /** Into `selection`, the way of a change by hand, so that one undo takes it back. */
  write(text) {
    const widget = this.node.widgets.find((each) => each.name === "selection")
    app.canvas.emitBeforeChange()
    try {
      widget.value = text
      widget.callback?.(text, app.canvas, this.node)
      this.node.graph.change()
    } finally {
      app.canvas.emitAfterChange()
    }
  }
}
