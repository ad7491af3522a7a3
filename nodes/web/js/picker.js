// The picker: puts its parts together, watches the front end's state, and passes pointer events on.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { BrushTools } from "./brush_tools.js"
import { Fit } from "./fit.js"
import { NodeTexts } from "./node_texts.js"
import { button, element, ownStyles, percent } from "./parts.js"
import { CORRECTION, NEGATIVE, Picks, POSITIVE } from "./picks.js"
import { loadSegmentMap } from "./segment_map.js"
import { Stage } from "./stage.js"
import { say } from "./texts.js"

const LOOK_EVERY = 50 // milliseconds
const NOTHING = []
const [LEFT, RIGHT] = [0, 2] // buttons
const NOTCH = 50 // of the wheel: less than one event of a mouse, and a few events of a trackpad
const REACH = 9 // pixels of the page: how far from a point a click still means it
const PROGRESS_TEXT = "$$node-text-preview"
const TOWARDS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const EDGES = ["grow", "feather", "fill_holes"]

export class Picker {
  /** `Kind` is the class of picks, `main` the text that plain clicks write. */
  constructor(node, Kind = Picks, main = "selection") {
    this.node = node
    this.texts = new NodeTexts(node, main)
    this.picks = new Kind(this.texts)
    this.stage = new Stage(this.picks)
    this.brush = new BrushTools(this)
    this.build()
  }

  // --- the parts

  build() {
    const { picks, stage } = this
    this.hint = element("div", "emerdiff-hint")
    this.ways = [
      button(say("keep"), say("keep_in_full"), () => this.change(() => picks.write(picks.lists))),
      button(say("clear"), say("anew"), () => this.change(() => picks.write(picks.lists.map(() => new Set())))),
    ]
    const changed = element("span", "", say("changed"))
    this.banner = element("div", "emerdiff-banner", changed, ...this.ways)
    this.status = element("span", "emerdiff-status")
    this.place = element("span")
    const back = button("\u2039", say("previous"), () => this.turn(-1))
    const next = button("\u203a", say("next"), () => this.turn(1))
    this.pager = element("span", "emerdiff-pager", back, this.place, next)
    this.tools = this.makeTools()
    this.boxes = button(say("box"), say("box_in_full"), () => this.turnBoxes())
    this.turnBoxes(false)
    const above = element("div", "emerdiff-stage", stage.canvas, this.hint, this.pager, stage.tip)
    const bar = element("div", "emerdiff-bar", this.status, this.boxes, ...this.tools)
    const [keys, inFull] = this.keysText
    this.keys = Object.assign(element("div", "emerdiff-keys", keys), { title: inFull })
    this.root = element("div", "emerdiff-picker", ownStyles(), above, this.banner, bar, this.keys)
    this.listen()
    this.show()
  }

  tool(label, title, act) {
    return button(label, title, () => this.change(act))
  }

  makeTools() {
    const { picks } = this
    return [
      this.tool(say("all"), say("all_in_full"), () => picks.all()),
      this.tool(say("clear"), say("none_in_full"), () => picks.clear()),
      ...this.brush.buttons(),
    ]
  }

  get keysText() {
    return [say("keys"), say("keys_in_full")]
  }

  /** Values of the node that change what is shown, in addition to its texts of points. */
  get watched() {
    return ["invert", ...EDGES, CORRECTION]
  }

  /** The node that has the picture. */
  get shownOn() {
    return this.node
  }

  /** Changes the texts by `act`, which gives why it cannot, or nothing. */
  change(act) {
    const refused = act()
    this.read = this.readTexts()
    this.refused = refused ?? null // until something changes, or the next press
    this.seen = null
    this.look()
  }

  // --- the front end's state: polled, because no event tells when it restores a node's results (another tab, undo),
  //     and a text may change by hand, by undo or through a link

  start() {
    this.stop()
    this.fit ??= new Fit(this.shownOn, this.stage)
    this.timer = setInterval(() => this.look(), LOOK_EVERY)
    this.look()
  }

  stop() {
    clearInterval(this.timer)
    this.timer = null
  }

  look() {
    this.takePlace()
    if (!this.picks.stroke && !this.picks.box) this.fit?.look()
    const sent = this.sentEntries()
    if (sent !== this.sent) this.receive(sent)
    this.brush.look()
    const read = this.readTexts()
    if (read !== this.read) this.refused = null // the refusal's cause has changed
    this.read = read
    const seen = [read, ...this.stage.size()].join("\n")
    if (seen === this.seen) return
    this.seen = seen
    this.show()
  }

  readTexts() {
    const { texts } = this
    const values = [POSITIVE, NEGATIVE, ...this.watched].map((name) => texts.value(name))
    return [texts.selection, ...values, texts.closed].join("\n")
  }

  /** An undo recreates the node, but the Vue nodes may go on showing the old node's element. */
  takePlace() {
    if (this.root.isConnected || this.node.graph !== app.canvas?.graph) return
    document.querySelector(`[data-node-id="${this.node.id}"] .emerdiff-picker`)?.replaceWith(this.root)
  }

  /** What the node sent, one entry a picture; the same list object until a new result comes. */
  sentEntries() {
    return this.result()?.emerdiff_segments ?? NOTHING
  }

  result() {
    const { id, graph } = this.node
    return app.nodeOutputs[!graph || graph.isRootGraph ? `${id}` : `${graph.id}:${id}`]
  }

  receive(sent) {
    this.sent = sent
    this.picks.receive(sent)
    const text = this.node.widgets.find((widget) => widget.name === PROGRESS_TEXT)
    if (text && sent.length) this.node.removeWidget?.(text) // the picker itself shows this text
    this.load()
  }

  async load() {
    const { picks } = this
    const { entry } = picks
    picks.map = null
    this.brush.reset()
    this.stage.reset()
    this.stage.wait(Boolean(entry))
    if (entry) {
      const map = await this.loadMap(entry).catch(() => null) // gone after a restart of the server
      if (entry !== picks.entry) return
      picks.map = map
    }
    this.stage.wait(false)
    this.seen = null
    if (this.timer) this.look() // the node may have left the graph meanwhile
  }

  loadMap(entry) {
    const files = [entry.picture, entry.labels, entry.parts].filter(Boolean)
    return loadSegmentMap(...files.map((file) => api.apiURL(`/view?${new URLSearchParams(file)}`)))
  }

  turn(step) {
    const { picks } = this
    picks.turnTo((picks.page + step + picks.entries.length) % picks.entries.length)
    this.load()
  }

  // --- the pointer

  listen() {
    const on = (kind, act) => this.stage.canvas.addEventListener(kind, act)
    on("pointerdown", (event) => this.press(event))
    on("pointermove", (event) => this.move(event))
    on("pointerup", (event) => this.release(event))
    on("pointercancel", () => this.abandon())
    on("pointerleave", () => this.stage.hover(null))
    on("contextmenu", (event) => this.picks.map && stopped(event)) // the right button means "not this"
    on("wheel", (event) => this.turnWheel(event))
    on("keydown", (event) => this.type(event))
  }

  /** Claims the wheel while the pointer is over a pick. The Vue nodes leave it to a focused element with this attribute. */
  takeWheel() {
    const { canvas, pointer } = this.stage
    canvas.dataset.captureWheel = Boolean(this.picks.map && pointer && this.picks.isPicked(this.stage.pointAt(pointer)))
  }

  /** Over a pick, the wheel makes the pick larger or smaller; elsewhere the front end gets it. */
  turnWheel(event) {
    if (!this.grow(this.stage.pointAt(event), event.deltaY < 0, Math.abs(event.deltaY))) {
      if (!window.LiteGraph.vueNodesMode) app.canvas.processMouseWheel(event)
      return
    }
    stopped(event)
  }

  /** Does by keys what the pointer does. The front end must not use these keys while the picture has the focus. */
  type(event) {
    if (!this.picks.map || event.ctrlKey || event.metaKey) return
    const act = this.keyed(event.key)
    if (!act) return
    stopped(event)
    act()
  }

  keyed(key) {
    const { picks, stage } = this
    if (TOWARDS[key]) return picks.map.labels && (() => this.walk(TOWARDS[key]))
    if (key === "Escape") return picks.box && (() => this.abandon())
    if (this.texts.closed) return null
    if (key === "Delete" || key === "Backspace") return () => this.change(() => picks.clear())
    if (key === "b") return () => this.turnBoxes()
    const point = stage.pointer && stage.pointAt(stage.pointer)
    if (!point) return null
    if (key === "[" || key === "]") return () => this.grow(point, key === "]", NOTCH)
    if (!["Enter", " "].includes(key) || stage.hovered === null) return null
    return () => this.change(() => (picks.begin(point, true), picks.end()))
  }

  /** Moves to the next segment in a direction, as if the pointer were there. */
  walk(direction) {
    const point = this.picks.neighbour(this.stage.hovered, direction)
    if (point) this.stage.hover(this.picks.pieceAt(point), this.stage.eventAt(point), true)
  }

  /** Sets whether dragging draws a box or paints over segments. */
  turnBoxes(on = !this.boxing) {
    this.boxing = on
    this.boxes.setAttribute("aria-pressed", on)
  }

  /** Grows the pick at a point a step for each notch, of which a trackpad sends many parts; whether there is a pick. */
  grow(point, larger, turned) {
    const { picks } = this
    if (!picks.map || this.texts.closed || !picks.isPicked(point)) return false
    this.turned = (larger === this.larger ? this.turned : 0) + turned
    this.larger = larger
    if (this.turned < NOTCH) return true
    this.turned = 0
    this.change(() => picks.grow(point, larger))
    return true
  }

  press(event) {
    if (event.button === 1) app.canvas.processMouseDown(event) // moves the canvas
    if (![LEFT, RIGHT].includes(event.button) || !event.isPrimary) return this.abandon() // a second finger
    if (!this.picks.map) return
    this.refused = null
    if (event.button === RIGHT || event.shiftKey || event.altKey) return this.point(event)
    if (this.texts.closed) return
    wholeBy(event) ? stopped(event) : event.preventDefault() // the front end must not use Ctrl and a drag
    this.stage.canvas.focus({ preventScroll: true })
    const point = this.stage.pointAt(event)
    if (this.boxing) this.picks.box = { from: point, to: point }
    else this.left(event, point)
    if (!this.picks.stroke && !this.picks.box) return
    this.stage.canvas.setPointerCapture(event.pointerId)
    this.show()
  }

  /** A plain click, or the beginning of a drag. */
  left(event, point) {
    this.picks.begin(point, wholeBy(event))
  }

  /** With a key or the right button: a point instead of a segment. The front end must not use Shift or Alt and a click. */
  point(event) {
    stopped(event)
    const at = this.stage.pointAt(event)
    if (this.picks.labelAt(at) === null) return
    const name = event.button === RIGHT || event.altKey ? NEGATIVE : POSITIVE
    this.change(() => this.picks.togglePoint(name, at, REACH * this.stage.pixelsEach()))
  }

  move(event) {
    if (event.buttons & 4) return app.canvas.processMouseMove(event)
    if (!this.picks.map) return
    const point = this.stage.pointAt(event)
    this.stage.hover(this.picks.hoveredAt(point), event, wholeBy(event))
    this.takeWheel()
    if (!event.isPrimary) return
    if (this.picks.box) this.picks.box.to = point
    else if (this.picks.stroke) this.picks.paint(point)
    else return
    this.show()
  }

  release(event) {
    if (event.button === 1) app.canvas.processMouseUp(event)
    if (!event.isPrimary) return
    if (this.picks.box) this.change(() => this.picks.endBox())
    else if (this.picks.stroke) this.change(() => this.picks.end())
  }

  abandon() {
    this.picks.stroke = this.picks.box = null
    if (this.picks.map) this.show()
  }

  // --- what is shown

  show() {
    const { picks, stage } = this
    if (stage.waiting) return // the drawing stays, dimmed, until the picture has come
    const ready = Boolean(picks.map)
    stage.canvas.hidden = !ready
    this.hint.hidden = ready
    this.banner.hidden = !ready || !picks.changed
    this.pager.hidden = picks.entries.length <= 1
    this.place.textContent = `${picks.page + 1} / ${picks.entries.length}`
    const { closed } = this.texts
    for (const tool of [this.boxes, ...this.tools]) tool.disabled = !ready
    for (const each of [this.boxes, ...this.tools, ...this.ways]) each.hidden = Boolean(closed)
    this.brush.show()
    this.keys.hidden = !ready || Boolean(closed)
    if (!ready) this.instruct()
    else {
      this.status.textContent = this.status.title = this.summary()
      stage.draw()
      this.takeWheel()
    }
    stage.showTip()
  }

  instruct() {
    const { closed, selection } = this.texts
    const lines = [closed ?? this.firstHint]
    if (!closed && selection.trim()) lines.push(say("picked", { selection: selection.trim() }))
    const texts = lines.map((line) => element("span", "", line))
    this.hint.replaceChildren(element("b", "", this.picks.entry ? say("gone") : say("run_once")), ...texts)
    this.status.textContent = this.status.title = ""
  }

  get firstHint() {
    return say("click")
  }

  summary() {
    const { picks } = this
    const { count, area: share } = picks.extent()
    const area = percent(share)
    if (this.refused) return this.refused
    if (this.texts.closed) return `${area} - ${this.texts.closed}`
    if (count === 0) return say(picks.brushed ? "brushed_alone" : "nothing")
    const [points, boxes] = [picks.under(POSITIVE).size + picks.under(NEGATIVE).size, picks.boxed.size]
    const others = points && boxes ? "_both" : points ? "_points" : boxes ? "_boxes" : ""
    const summary = say(`summary${others}`, { count, all: picks.entry.colors.length, area })
    return picks.brushed ? say("brushed", { summary }) : summary
  }
}

/** Whether the event means a whole segment, not a part of it. */
function wholeBy(event) {
  return event.ctrlKey || event.metaKey
}

/** Keeps an event from the front end. */
function stopped(event) {
  event.preventDefault()
  event.stopPropagation()
}
