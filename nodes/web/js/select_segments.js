// EmerDiff Select Segments: a picture to click in. The only state is the text of the node's `selection`;
// what was drawn comes with the node's last result. Without this file the node works by its text fields.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { loadSegmentMap, paintOver, sampled } from "./segment_map.js"
import { readSelection, writeSelection } from "./selection_text.js"

const NODE = "EmerDiffSelectSegments"
const LOOK_EVERY = 150 // milliseconds
const LARGEST_CANVAS = 2048 // pixels
const SMALLEST = [340, 520] // of the node
const NOTHING = []
const PROGRESS_TEXT = "$$node-text-preview"
const STYLES = fetch(new URL("select_segments.css", import.meta.url)).then((answer) => answer.text())

app.registerExtension({
  name: "emerdiff.SelectSegments",
  nodeCreated(node) {
    if (node.constructor.comfyClass === NODE) addPicker(node)
  },
})

function addPicker(node) {
  const picker = new Picker(node)
  const widget = node.addDOMWidget("segments", "emerdiff_segments", picker.root, {
    serialize: false, // not part of the prompt
    hideOnZoom: false,
    getMinHeight: () => 280,
    getValue: () => "",
    setValue: () => {},
  })
  widget.serialize = false // nor of the workflow
  node.hideOutputImages = true // in the Vue nodes
  node.onDrawBackground = () => {} // in the classic canvas, where this is what shows a node's images
  node.setSize(node.size.map((length, axis) => Math.max(length, SMALLEST[axis])))
  node.onAdded = chained(node.onAdded, () => picker.start())
  node.onRemoved = chained(node.onRemoved, () => picker.stop())
}

function chained(before, after) {
  return function (...values) {
    before?.apply(this, values)
    after()
  }
}

class Picker {
  constructor(node) {
    this.node = node
    this.entries = NOTHING // what the node sent, one a picture
    this.page = 0
    this.map = null // of the entry on this page
    this.hovered = null
    this.stroke = null // {add, last point, numbers} while the pointer is down
    this.build()
  }

  // --- the parts

  build() {
    this.canvas = element("canvas")
    this.hint = element("div", "emerdiff-hint")
    this.tip = element("div", "emerdiff-tip")
    this.banner = element(
      "div", "emerdiff-banner",
      element("span", "", "The segmentation has changed since these segments were picked."),
      button("keep", "The picks are right for this segmentation too", () => this.write(this.lists)),
      button("clear", "Pick anew", () => this.write(this.lists.map(() => new Set()))),
    )
    this.status = element("span", "emerdiff-status")
    this.place = element("span")
    this.back = button("\u2039", "Previous picture", () => this.turn(-1))
    this.next = button("\u203a", "Next picture", () => this.turn(1))
    this.pager = element("span", "emerdiff-pager", this.back, this.place, this.next)
    this.tools = [
      button("all", "Select every segment", () => this.edit(() => true)),
      button("invert", "Select the others instead", () => this.edit((number, list) => !list.has(number))),
      button("clear", "Select none", () => this.edit(() => false)),
    ]
    const stage = element("div", "emerdiff-stage", this.canvas, this.hint, this.pager, this.tip)
    const bar = element("div", "emerdiff-bar", this.status, ...this.tools)
    this.root = element("div", "emerdiff-picker", ownStyles(), stage, this.banner, bar)
    this.listen()
    this.show()
  }

  listen() {
    const on = (kind, act) => this.canvas.addEventListener(kind, act)
    on("pointerdown", (event) => this.press(event))
    on("pointermove", (event) => this.move(event))
    on("pointerup", (event) => this.release(event))
    on("pointercancel", () => this.abandon())
    on("pointerleave", () => this.hover(null))
    on("wheel", (event) => window.LiteGraph.vueNodesMode || app.canvas.processMouseWheel(event))
  }

  // --- what the front end has: looked at again and again, because it tells nobody when it restores a node's
  //     results (another tab, undo), and a text may change by hand, by undo or through a link

  start() {
    this.stop()
    this.timer = setInterval(() => this.look(), LOOK_EVERY)
    this.look()
  }

  stop() {
    clearInterval(this.timer)
  }

  look() {
    this.takePlace()
    const sent = this.result()?.emerdiff_segments ?? NOTHING
    if (sent !== this.sent) this.receive(sent)
    const seen = [this.text, this.value("invert"), this.value("positive_points"), this.value("negative_points"),
      this.linked, ...this.size()].join("\n")
    if (seen === this.seen) return
    this.seen = seen
    this.show()
  }

  /** An undo makes the node anew, but the Vue nodes may go on showing the element that the old one had. */
  takePlace() {
    if (this.root.isConnected || this.node.graph !== app.canvas?.graph) return
    document.querySelector(`[data-node-id="${this.node.id}"] .emerdiff-picker`)?.replaceWith(this.root)
  }

  result() {
    const { id, graph } = this.node
    return app.nodeOutputs[!graph || graph.isRootGraph ? `${id}` : `${graph.id}:${id}`]
  }

  receive(sent) {
    this.sent = sent
    this.entries = sent
    this.page = Math.min(this.page, Math.max(0, sent.length - 1))
    this.stroke = null
    const text = this.node.widgets.find((widget) => widget.name === PROGRESS_TEXT)
    if (text && sent.length) this.node.removeWidget?.(text) // the picker itself says what it says
    this.load()
  }

  async load() {
    const entry = this.entry
    this.map = this.drawn = this.hovered = null
    if (entry) {
      const [picture, labels] = [entry.picture, entry.labels].map((file) => api.apiURL(`/view?${new URLSearchParams(file)}`))
      const map = await loadSegmentMap(picture, labels).catch(() => null) // gone after a restart of the server
      if (entry !== this.entry) return
      this.map = map
    }
    this.seen = null
    this.show()
  }

  get entry() {
    return this.entries[this.page]
  }

  // --- the texts of the node

  value(name) {
    return this.node.widgets.find((widget) => widget.name === name)?.value
  }

  get text() {
    return String(this.value("selection") ?? "")
  }

  get linked() {
    return Boolean(this.node.inputs?.some((input) => input.name === "selection" && input.link != null))
  }

  read() {
    return readSelection(this.text, this.entry.colors.length, this.entries.length)
  }

  get lists() {
    return this.read().lists
  }

  get changed() {
    const made = this.read().fingerprint
    return this.text.trim() !== "" && made !== null && made !== this.entry.fingerprint
  }

  /** Numbers of this page, with those of a stroke that is not written yet. */
  get list() {
    return this.stroke?.list ?? this.lists[this.page]
  }

  /** Segments under the points of a text field, on this page. */
  under(name) {
    try {
      const numbers = JSON.parse(this.value(name) || "[]").map(({ x, y }) => this.labelAt([x, y]))
      return new Set(numbers.filter((number) => number !== null))
    } catch {
      return new Set() // the node says what is wrong with it
    }
  }

  /** Which segments the mask will have. */
  mask() {
    const [list, added, removed] = [this.list, this.under("positive_points"), this.under("negative_points")]
    const all = removed.size > 0 && list.size + added.size === 0
    const inverted = Boolean(this.value("invert"))
    return this.entry.colors.map((_, number) => {
      return ((all || list.has(number) || added.has(number)) && !removed.has(number)) !== inverted
    })
  }

  edit(keep) {
    const lists = this.lists
    const list = lists[this.page]
    lists[this.page] = new Set([...this.entry.colors.keys()].filter((number) => keep(number, list)))
    this.write(lists, this.changed ? this.read().fingerprint : this.entry.fingerprint)
  }

  /** Into the text, the way of a change by hand, so that one undo takes it back. */
  write(lists, fingerprint = this.entry.fingerprint) {
    const widget = this.node.widgets.find((each) => each.name === "selection")
    const text = writeSelection(lists, fingerprint)
    if (text === this.text) return this.show()
    app.canvas.emitBeforeChange()
    try {
      widget.value = text
      widget.callback?.(text, app.canvas, this.node)
      this.node.graph.change()
    } finally {
      app.canvas.emitAfterChange()
    }
    this.look()
  }

  turn(step) {
    this.page = (this.page + step + this.entries.length) % this.entries.length
    this.load()
  }

  // --- the pointer

  press(event) {
    if (event.button === 1) app.canvas.processMouseDown(event) // moves the canvas
    if (event.button !== 0 || !event.isPrimary) return this.abandon() // a second finger
    if (!this.map || this.linked) return
    event.preventDefault()
    const point = this.pointAt(event)
    const number = this.labelAt(point)
    if (number === null) return
    this.canvas.setPointerCapture(event.pointerId)
    const list = new Set(this.list)
    this.stroke = { add: !this.mask()[number], last: point, list }
    this.paint(point)
  }

  move(event) {
    if (event.buttons & 4) return app.canvas.processMouseMove(event)
    if (!this.map) return
    const point = this.pointAt(event)
    this.hover(this.labelAt(point), event)
    if (this.stroke && event.isPrimary) this.paint(point)
  }

  release(event) {
    if (event.button === 1) app.canvas.processMouseUp(event)
    if (!this.stroke || !event.isPrimary) return
    const lists = this.lists
    lists[this.page] = this.stroke.list
    this.stroke = null
    this.write(lists, this.changed ? this.read().fingerprint : this.entry.fingerprint)
  }

  abandon() {
    this.stroke = null
    if (this.map) this.show()
  }

  /** Every segment on the way from the stroke's last point; a quick pointer leaves none out. */
  paint(point) {
    const { last, list, add } = this.stroke
    const inverted = Boolean(this.value("invert"))
    const [dx, dy] = [point[0] - last[0], point[1] - last[1]]
    const step = this.entry.width / this.map.width
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(dx), Math.abs(dy)) / step))
    for (let each = 0; each <= steps; each++) {
      const number = this.labelAt([last[0] + (dx * each) / steps, last[1] + (dy * each) / steps])
      if (number === null) continue
      if (add !== inverted) list.add(number)
      else list.delete(number)
    }
    this.stroke.last = point
    this.show()
  }

  hover(number, event) {
    if (event) this.pointer = event
    if (number === this.hovered && number === null) return
    const same = number === this.hovered
    this.hovered = number
    if (!same) this.draw()
    this.showTip()
  }

  /** Pixels of the true picture under the pointer, at any zoom of the page, the canvas or the node. */
  pointAt(event) {
    const box = this.canvas.getBoundingClientRect()
    const frame = this.frame(box.width, box.height)
    return [
      ((event.clientX - box.left - frame.left) / frame.width) * this.entry.width,
      ((event.clientY - box.top - frame.top) / frame.height) * this.entry.height,
    ]
  }

  labelAt([x, y]) {
    const { map, entry } = this
    const column = Math.floor((x / entry.width) * map.width)
    const row = Math.floor((y / entry.height) * map.height)
    const inside = column >= 0 && row >= 0 && column < map.width && row < map.height
    return inside ? map.labels[row * map.width + column] : null
  }

  /** Where the picture lies in a stage of this size. */
  frame(width, height) {
    const scale = Math.min(width / this.entry.width, height / this.entry.height)
    const [across, down] = [this.entry.width * scale, this.entry.height * scale]
    return { left: (width - across) / 2, top: (height - down) / 2, width: across, height: down }
  }

  // --- drawing

  /** The canvas's size in device pixels. */
  size() {
    const { width, height } = this.canvas.getBoundingClientRect()
    const scale = Math.min(window.devicePixelRatio, LARGEST_CANVAS / Math.max(width, height, 1))
    return [Math.round(width * scale), Math.round(height * scale)]
  }

  show() {
    const ready = Boolean(this.map)
    const several = this.entries.length > 1
    this.canvas.hidden = !ready
    this.hint.hidden = ready
    this.banner.hidden = !ready || !this.changed
    this.pager.hidden = !several
    this.place.textContent = `${this.page + 1} / ${this.entries.length}`
    for (const tool of this.tools) tool.disabled = !ready || this.linked
    if (!ready) this.instruct()
    else {
      this.status.textContent = this.status.title = this.summary()
      this.draw()
    }
    this.showTip()
  }

  instruct() {
    const picked = this.text.trim()
    const lines = [element("span", "", "Click a segment to pick it, drag to pick several.")]
    if (picked) lines.push(element("span", "", `Picked so far: ${picked}`))
    this.hint.replaceChildren(element("b", "", "Run once to see the picture here"), ...lines)
    this.status.textContent = this.status.title = ""
  }

  summary() {
    const mask = this.mask()
    const count = mask.filter(Boolean).length
    const area = this.entry.areas.reduce((sum, each, number) => sum + (mask[number] ? each : 0), 0)
    if (this.linked) return `${percent(area)} - selection comes from a link`
    if (count === 0) return "nothing selected"
    const points = this.under("positive_points").size + this.under("negative_points").size
    return `${count} of ${mask.length} segments, ${percent(area)}${points ? ", with the points" : ""}`
  }

  draw() {
    const [width, height] = this.size()
    if (!this.map || !width || !height) return
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height })
      this.drawn = null
    }
    const frame = this.frame(width, height)
    const [left, top, across, down] = [frame.left, frame.top, frame.width, frame.height].map(Math.round)
    this.drawn ??= sampled(this.map, across, down)
    const mask = this.mask()
    const layer = new OffscreenCanvas(across, down)
    layer.getContext("2d").putImageData(paintOver(this.drawn, this.entry.colors, (number) => mask[number], this.hovered), 0, 0)
    const context = this.canvas.getContext("2d")
    context.clearRect(0, 0, width, height)
    context.drawImage(this.map.picture, left, top, across, down)
    context.drawImage(layer, left, top)
  }

  showTip() {
    const shown = this.map && this.hovered !== null && this.pointer?.pointerType !== "touch"
    this.tip.hidden = !shown
    if (!shown) return
    this.tip.textContent = `${this.hovered} - ${percent(this.entry.areas[this.hovered])}`
    this.tip.style.setProperty("--emerdiff-color", this.entry.colors[this.hovered])
    const box = this.canvas.getBoundingClientRect()
    const zoom = box.width / this.canvas.offsetWidth
    const [x, y] = [(this.pointer.clientX - box.left) / zoom, (this.pointer.clientY - box.top) / zoom]
    const left = Math.max(4, Math.min(x + 14, this.canvas.offsetWidth - this.tip.offsetWidth - 4))
    const above = y > 40 ? y - 32 : y + 18
    this.tip.style.transform = `translate(${left}px, ${above}px)`
  }
}

function percent(part) {
  return `${(100 * part).toFixed(1)}%`
}

function element(tag, name = "", ...children) {
  const made = document.createElement(tag)
  if (name) made.className = name
  made.append(...children)
  return made
}

/** Beside what they are for and not in the page's head. As text: a link is loaded anew wherever the element moves. */
function ownStyles() {
  const styles = element("style")
  STYLES.then((text) => styles.append(text))
  return styles
}

function button(label, title, act) {
  const made = Object.assign(element("button", "", label), { type: "button", title })
  made.addEventListener("click", act)
  return made
}
