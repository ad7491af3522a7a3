// The points and boxes on the page shown, where there are no segments; they are in the node's texts.

import { NEGATIVE, Picks, POSITIVE } from "./picks.js"
import { say } from "./texts.js"

export const BOXES = "boxes"
export const LEVEL = "level"
const TINT = "#4aa3ff"

export class PointPicks extends Picks {
  get changed() {
    return false
  }

  get inner() {
    return false
  }

  get everywhere() {
    return false
  }

  get edge() {
    return null
  }

  /** Which level is shown; null before there are any. */
  get level() {
    const { count, first } = this.entry
    if (!count) return null
    return Math.min(Math.max(first + (Number(this.texts.value(LEVEL)) || 0), 0), count - 1)
  }

  /** For each label of a level map, whether its pixels are in the mask; a label is the level at which they join. */
  mask() {
    const { level } = this
    return this.map.segments.map((join) => level !== null && join <= level)
  }

  /** The wheel goes through the levels anywhere in a picture that has some. */
  isPicked() {
    return this.level !== null && !this.texts.closedTo(LEVEL)
  }

  grow(_, larger) {
    const { count, first } = this.entry
    const next = Math.min(Math.max(this.level + (larger ? 1 : -1), 0), count - 1)
    this.texts.write(next - first, LEVEL)
  }

  hoveredAt() {
    return null
  }

  /** 0 in the picture, null beside it. */
  labelAt([x, y]) {
    const { width, height } = this.entry
    return x >= 0 && y >= 0 && x < width && y < height ? 0 : null
  }

  /** The levels that the node sent, as an entry of segments: a label for each level, and one for no level. */
  static entryOf(sent) {
    return { ...sent, colors: Array(sent.count + 1).fill(TINT), areas: [] }
  }

  get count() {
    return this.pointsHere(POSITIVE).length + this.pointsHere(NEGATIVE).length + this.boxes.length
  }

  /** The boxes of the page shown, {x, y, width, height}. */
  get boxes() {
    return this.boxLists()?.[this.page] ?? []
  }

  /** The text's boxes for each picture; null where the text was not drawn here. */
  boxLists() {
    const text = String(this.texts.value(BOXES) ?? "").trim()
    try {
      const value = text ? JSON.parse(text) : []
      const lists = Array.isArray(value[0]) ? value : this.entries.map(() => [...value])
      const known = lists.flat().every((box) => ["x", "y", "width", "height"].every((side) => Number.isFinite(box[side])))
      return known && lists.length === this.entries.length ? lists : null
    } catch {
      return null
    }
  }

  /** Adds a box on this page. Returns why it cannot, or null. */
  endBox() {
    const { from, to } = this.box
    this.box = null
    const closed = this.texts.closedTo(BOXES)
    const lists = this.boxLists()
    if (closed || !lists) return closed ?? say("unread", { name: BOXES })
    const box = this.within(from, to)
    if (box.width > 0 && box.height > 0) lists[this.page].push(box)
    this.writeBoxes(lists)
    return null
  }

  /** Two corners as a box of whole pixels, cut at the picture's borders. */
  within(from, to) {
    const { width, height } = this.entry
    const [x1, x2] = [from[0], to[0]].sort((one, other) => one - other)
    const [y1, y2] = [from[1], to[1]].sort((one, other) => one - other)
    const [x, y] = [Math.max(0, Math.floor(x1)), Math.max(0, Math.floor(y1))]
    return { x, y, width: Math.min(width, Math.ceil(x2)) - x, height: Math.min(height, Math.ceil(y2)) - y }
  }

  writeBoxes(lists) {
    const text = lists.some((list) => list.length) ? JSON.stringify(lists.length === 1 ? lists[0] : lists) : ""
    this.texts.write(text, BOXES)
  }

  clear() {
    this.clearPoints()
    const lists = this.boxLists()
    if (!this.boxes.length || this.texts.closedTo(BOXES)) return
    this.writeBoxes(lists.map((list, page) => (page === this.page ? [] : list)))
  }
}
