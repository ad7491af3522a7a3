// Draws the picture and maps the pointer to it: the canvas, the picture's place in it, and the tip under the pointer.

import { corrected } from "./brush.js"
import { edged } from "./edge.js"
import { Painting } from "./painting.js"
import { element, percent } from "./parts.js"
import { NEGATIVE, POSITIVE } from "./picks.js"
import { say } from "./texts.js"

const LARGEST_CANVAS = 2048 // pixels
const POINT = 6 // pixels of the page
const LOOKS = { [POSITIVE]: ["#1f9d55", "+"], [NEGATIVE]: ["#d64545", "\u2212"] } // colour and sign of the points

export class Stage {
  constructor(picks) {
    this.picks = picks
    this.hovered = null // a piece of the map
    this.whole = false // whether all pieces of its segment are highlighted
    this.canvas = Object.assign(element("canvas"), { tabIndex: 0 })
    this.tip = element("div", "emerdiff-tip")
  }

  /** Forgets what belongs to the previous picture. */
  reset() {
    this.painting = this.hovered = null
  }

  /** Keeps the old drawing until the new picture has come; meanwhile nothing can be picked in it. */
  wait(waiting) {
    this.waiting = waiting
    this.canvas.setAttribute("aria-busy", waiting)
  }

  // --- places

  /** The canvas's size in device pixels. */
  size() {
    const { width, height } = this.canvas.getBoundingClientRect()
    const scale = Math.min(window.devicePixelRatio, LARGEST_CANVAS / Math.max(width, height, 1))
    return [Math.round(width * scale), Math.round(height * scale)]
  }

  /** Where the picture lies in a stage of this size. */
  frame(width, height) {
    const { entry } = this.picks
    const scale = Math.min(width / entry.width, height / entry.height)
    const [across, down] = [entry.width * scale, entry.height * scale]
    return { left: (width - across) / 2, top: (height - down) / 2, width: across, height: down }
  }

  /** The pixel of the true picture under the pointer, at any zoom of the page, the canvas or the node. */
  pointAt(event) {
    const { entry } = this.picks
    const box = this.canvas.getBoundingClientRect()
    const frame = this.frame(box.width, box.height)
    return [
      ((event.clientX - box.left - frame.left) / frame.width) * entry.width,
      ((event.clientY - box.top - frame.top) / frame.height) * entry.height,
    ]
  }

  /** The place on the page of a point of the true picture, in the form of an event. */
  eventAt([x, y]) {
    const { entry } = this.picks
    const box = this.canvas.getBoundingClientRect()
    const frame = this.frame(box.width, box.height)
    return {
      clientX: box.left + frame.left + ((x + 0.5) / entry.width) * frame.width,
      clientY: box.top + frame.top + ((y + 0.5) / entry.height) * frame.height,
    }
  }

  /** How many pixels of the true picture one pixel of the page covers. */
  pixelsEach() {
    const box = this.canvas.getBoundingClientRect()
    return this.picks.entry.width / this.frame(box.width, box.height).width
  }

  // --- drawing

  hover(piece, event, whole = false) {
    if (event) this.pointer = event
    if (piece === this.hovered && piece === null) return
    const same = piece === this.hovered && whole === this.whole
    Object.assign(this, { hovered: piece, whole })
    if (!same) this.draw()
    this.showTip()
  }

  draw() {
    const { map } = this.picks
    const [width, height] = this.size()
    if (!map || !width || !height) return
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height })
      this.painting = null
    }
    const frame = this.frame(width, height)
    const [left, top, across, down] = [frame.left, frame.top, frame.width, frame.height].map(Math.round)
    this.painting ??= new Painting(map, this.colors(), across, down)
    const context = this.canvas.getContext("2d")
    context.clearRect(0, 0, width, height)
    context.putImageData(this.painted(), left, top)
    this.drawPoints(context, frame)
    for (const { x, y, width: wide, height: high } of this.picks.boxes) {
      this.drawBox(context, frame, { from: [x, y], to: [x + wide, y + high] })
    }
    if (this.picks.box) this.drawBox(context, frame, this.picks.box)
  }

  colors() {
    const { map, entry } = this.picks
    return (map.segments ?? []).map((segment) => entry.colors[segment])
  }

  /** The picture with its segments in colour, an ImageData. */
  painted() {
    const { picks, painting } = this
    if (!picks.map.pieces) return painting.image
    const selected = picks.mask()
    const looked = new Set(this.hovered === null ? [] : picks.taken(this.hovered, this.whole))
    const hovered = selected.map((_, piece) => looked.has(piece))
    return painting.show({ selected, hovered, inner: picks.inner }, this.alpha(selected))
  }

  /** The mask with its edge and its correction by brush, at drawing size; null where it is just that of the segments. */
  alpha(mask) {
    const { edge, correction } = this.picks
    if (!correction && (!edge || !mask.some(Boolean))) return null
    const key = JSON.stringify([mask, edge])
    const { kept, painting } = this
    if (kept?.key !== key || kept.painting !== painting || kept.correction !== correction) {
      this.kept = { key, painting, correction, alpha: finished(this.picks, mask, painting) }
    }
    return this.kept.alpha
  }

  /** The finished mask at the size of the map: {alpha, width, height}. */
  finished() {
    const { width, height, pieces } = this.picks.map
    return { alpha: finished(this.picks, this.picks.mask(), { pieces, width, height }), width, height }
  }

  drawBox(context, frame, box) {
    const { entry } = this.picks
    const [x1, y1, x2, y2] = [...box.from, ...box.to].map((length, axis) => {
      return axis % 2 ? frame.top + (length / entry.height) * frame.height : frame.left + (length / entry.width) * frame.width
    })
    const thin = this.canvas.width / this.canvas.getBoundingClientRect().width
    Object.assign(context, { lineWidth: 2 * thin, strokeStyle: "#fff", fillStyle: "rgb(74 163 255 / 25%)" })
    context.fillRect(x1, y1, x2 - x1, y2 - y1)
    context.strokeRect(x1, y1, x2 - x1, y2 - y1)
  }

  drawPoints(context, frame) {
    const { entry } = this.picks
    const radius = (POINT * this.canvas.width) / this.canvas.getBoundingClientRect().width
    Object.assign(context, { lineWidth: radius / 3, textAlign: "center", textBaseline: "middle" })
    context.font = `bold ${2 * radius}px sans-serif`
    for (const [name, [color, sign]] of Object.entries(LOOKS)) {
      for (const { x, y } of this.picks.pointsHere(name)) {
        const across = frame.left + ((x + 0.5) / entry.width) * frame.width
        const down = frame.top + ((y + 0.5) / entry.height) * frame.height
        context.beginPath()
        context.arc(across, down, radius, 0, 2 * Math.PI)
        Object.assign(context, { fillStyle: color, strokeStyle: "#fff" })
        context.fill()
        context.stroke()
        context.fillStyle = "#fff"
        context.fillText(sign, across, down)
      }
    }
  }

  showTip() {
    const { picks, hovered } = this
    const { map, entry } = picks
    const shown = map?.pieces && hovered !== null && this.pointer?.pointerType !== "touch"
    this.tip.hidden = !shown
    if (!shown) return
    const number = map.segments[hovered]
    const isPart = picks.taken(hovered, this.whole).length < picks.taken(hovered, true).length
    const areas = { area: percent(entry.areas[number]), part: percent(map.pixels[hovered] / map.pieces.length) }
    this.tip.textContent = say(isPart ? "part" : "segment", { number, ...areas })
    this.tip.style.setProperty("--emerdiff-color", entry.colors[number])
    const box = this.canvas.getBoundingClientRect()
    const zoom = box.width / this.canvas.offsetWidth
    const [x, y] = [(this.pointer.clientX - box.left) / zoom, (this.pointer.clientY - box.top) / zoom]
    const left = Math.max(4, Math.min(x + 14, this.canvas.offsetWidth - this.tip.offsetWidth - 4))
    const above = y > 40 ? y - 32 : y + 18
    this.tip.style.transform = `translate(${left}px, ${above}px)`
  }
}

/** The mask of pieces at a size, with its edge and its correction by brush: a Float32Array. */
function finished({ edge, correction, entry }, mask, { pieces, width, height }) {
  const scale = width / entry.width
  const lengths = edge && { ...edge, grow: edge.grow * scale, feather: edge.feather * scale }
  const inside = new Uint8Array(pieces.length)
  for (let at = 0; at < inside.length; at++) inside[at] = mask[pieces[at]]
  const alpha = edge && mask.some(Boolean) ? edged(inside, width, height, lengths) : Float32Array.from(inside)
  return correction ? corrected(alpha, width, height, correction) : alpha
}
