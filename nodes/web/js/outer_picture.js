// Shows the picture to click in on a subgraph's node too, if the text that clicks write is on that node. So nobody has to step
// inside. The front end promotes only widgets with an input, and a picture has none. So the outer node gets its own picture,
// which draws the result of the node inside and uses the texts of the outer node.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { element } from "./parts.js"
import { Picker } from "./picker.js"
import { addPicture, chained, NODE } from "./select_segments.js"
import { nodesOf } from "./subgraphs.js"

const LOOK_EVERY = 300 // milliseconds
const IN_VUE = "display: flex; flex: 1; min-height: 240px; padding: 0 12px"
const results = new WeakMap() // subgraph node -> {id: of the node inside, output: of its last run}

app.registerExtension({
  name: "emerdiff.OuterPicture",
  nodeCreated(node) {
    if (node.subgraph) new Outer(node)
  },
})

api.addEventListener("executed", ({ detail: { node: path, output } }) => {
  const ids = `${path}`.split(":")
  const id = ids.pop()
  const host = ids.reduce((outer, each) => (outer ? outer.subgraph : app.rootGraph)?.getNodeById(each), null)
  if (host?.subgraph && output) results.set(host, { id, output })
})

/** A subgraph node, which has a picture as long as the node that the picture belongs to is inside. */
class Outer {
  constructor(host) {
    this.host = host
    host.onAdded = chained(host.onAdded, () => this.start())
    host.onRemoved = chained(host.onRemoved, () => this.stop())
    this.look() // before the front end gives the node the size that it was saved with
  }

  start() {
    this.stop()
    this.timer = setInterval(() => this.look(), LOOK_EVERY)
    this.picker?.start()
  }

  stop() {
    clearInterval(this.timer)
    this.picker?.stop()
  }

  /** Looks again at what is inside and which texts are on the node, because both change without an event. */
  look() {
    const inside = this.host.subgraph.nodes.find((node) => node.constructor.comfyClass === NODE && this.hasTextOf(node))
    if (inside === this.picker?.node) return
    if (this.picker) this.remove()
    if (inside) this.add(inside)
  }

  hasTextOf(node) {
    const input = node.inputs.find(({ name }) => name === "selection")
    const link = input && node.graph.getLink(input.link)
    return Boolean(link) && link.origin_id === node.graph.inputNode.id
  }

  add(inside) {
    const { host } = this
    this.picker = new OuterPicker(host, inside)
    this.widget = addPicture(host, this.picker)
    if (!host.widgets.includes(this.widget)) {
      keepBeside(host, () => (this.widget ? [this.widget] : []))
      this.picker.framed = true
    }
    const [width, height] = host.computeSize()
    host.setSize([Math.max(host.size[0], width), Math.max(host.size[1], height)])
    if (this.timer) this.picker.start()
  }

  remove() {
    this.picker.stop()
    this.host.removeWidget(this.widget)
    this.picker = this.widget = null
  }
}

class OuterPicker extends Picker {
  constructor(host, node) {
    super(node)
    this.host = host
    this.texts.host = host
  }

  get shownOn() {
    return this.host
  }

  /** The node's own last result: the front end keeps one result of an inner node for all nodes of the subgraph. */
  result() {
    const own = results.get(this.host)
    if (own?.id === `${this.node.id}`) return own.output
    return nodesOf(this.host.subgraph).length === 1 ? super.result() : undefined
  }

  takePlace() {
    if (this.root.isConnected || this.host.graph !== app.canvas?.graph) return
    const body = document.querySelector(`[data-testid="node-body-${this.host.id}"]`)
    const before = body?.querySelector(".emerdiff-picker")
    if (before) before.replaceWith(this.root)
    else if (this.framed) body?.append(frameOf(this.root))
  }
}

/** Adds widgets in front ends before 1.58, where a subgraph node has only those of its inputs. */
function keepBeside(host, widgets) {
  const own = Object.getOwnPropertyDescriptor(host, "widgets")
  Object.defineProperty(host, "widgets", { ...own, get: () => [...own.get.call(host), ...widgets()] })
}

/** A frame for the picture in their Vue nodes, which show no other widgets either. It keeps pointer events from the node. */
function frameOf(root) {
  const frame = element("div", "", root)
  frame.style.cssText = IN_VUE
  for (const kind of ["pointerdown", "pointermove", "pointerup"]) {
    frame.addEventListener(kind, (event) => event.stopPropagation())
  }
  return frame
}
