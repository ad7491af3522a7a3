// The picks on the page shown: those in the text, those of a stroke that is not written yet, and the points. The text has
// numbers of segments and connected parts; here both are pieces of the map, which are the connected parts.

import { branchesOf } from "./branches.js"
import { readCorrections, writeCorrections } from "./correction_text.js"
import { pieceAt, piecesOf, picksOf } from "./pieces.js"
import { readPoints, writePoints } from "./points_text.js"
import { partOf, readSelection, writeSelection } from "./selection_text.js"
import { middles } from "./segment_map.js"
import { say } from "./texts.js"

const NOTHING = []
export const POSITIVE = "positive_points"
export const NEGATIVE = "negative_points"
export const CORRECTION = "correction"

export class Picks {
  constructor(texts) {
    this.texts = texts
    this.entries = NOTHING // as the node sent them, one a picture
    this.page = 0
    this.map = null // of the entry on this page, once it is loaded
    this.stroke = null // {add, last point, list} while the pointer is down
    this.box = null // {from, to} while a box is drawn
    this.correction = null // by brush, of this page, once it is loaded
  }

  /** Takes what the node sent with its last result. */
  receive(sent) {
    this.entries = sent
    this.turnTo(Math.min(this.page, Math.max(0, sent.length - 1)))
  }

  turnTo(page) {
    this.page = page
    this.stroke = this.box = null
    this.texts.used = this.entry?.used ?? {}
  }

  get entry() {
    return this.entries[this.page]
  }

  read() {
    const counts = this.entries.map(({ colors }) => colors.length)
    if (!this.texts.closed) return this.spread(this.there(readSelection(this.texts.selection, counts)))
    const { lists, fingerprint } = readSelection(this.texts.selection, [counts[this.page]]) // this page's alone
    return { lists: counts.map(() => lists[0]), fingerprint }
  }

  /** The picks without the parts that the node did not find in its pictures. */
  there({ lists, fingerprint }) {
    const found = ({ gone = NOTHING }, list) => new Set([...list].filter((pick) => !gone.includes(pick)))
    return { lists: lists.map((list, page) => found(this.entries[page], list)), fingerprint }
  }

  /** The picks, each counting in all pictures if every_picture is on. */
  spread({ lists, fingerprint }) {
    if (!this.everywhere) return { lists, fingerprint }
    const all = lists.flatMap((list) => [...list].map((pick) => (Number.isInteger(pick) ? pick : partOf(pick)[0])))
    return { lists: lists.map(() => new Set(all)), fingerprint }
  }

  get lists() {
    return this.read().lists
  }

  /** Whether the picks were made on another segmentation. */
  get changed() {
    const made = this.read().fingerprint
    return this.texts.selection.trim() !== "" && made !== null && made !== this.entry.fingerprint
  }

  /** The pieces picked on this page, including those of a stroke that is not written yet. */
  get list() {
    return this.stroke?.list ?? this.piecesOf(this.lists[this.page])
  }

  /** The pieces that picks of the text name. */
  piecesOf(picks) {
    return piecesOf(picks, this.map, this.entry)
  }

  /** The pieces that a pick takes: the piece, or all of its segment, as with every_picture: pictures share only numbers. */
  taken(piece, whole) {
    if (!whole && !this.everywhere) return [piece]
    return [...piecesOf(new Set([this.map.segments[piece]]), this.map, this.entry)]
  }

  /** The points of a text field, a list for each picture, or null where it cannot be read. */
  points(name) {
    return readPoints(String(this.texts.value(name) ?? ""), this.entries, this.everywhere)
  }

  /** The points of a text field on this page. */
  pointsHere(name) {
    return this.points(name)?.[this.page] ?? NOTHING
  }

  /** Segments under the points of a text field, on this page. */
  under(name) {
    const numbers = this.pointsHere(name).map(({ x, y }) => this.labelAt([x, y]))
    return new Set(numbers.filter((number) => number !== null))
  }

  /** Segments in the boxes that came through a link, and what points in other pictures picked in the last run. */
  get boxed() {
    return new Set(this.entry.boxed)
  }

  get inverted() {
    return Boolean(this.texts.value("invert"))
  }

  /** Whether a pick in one picture counts in all. */
  get everywhere() {
    return Boolean(this.texts.value("every_picture"))
  }

  /** The node's changes to the mask's edge; null where there are none. */
  get edge() {
    const [grow, feather] = ["grow", "feather"].map((name) => Number(this.texts.value(name)) || 0)
    const fillHoles = Boolean(this.texts.value("fill_holes"))
    return grow || feather || fillHoles ? { grow, feather, fillHoles } : null
  }

  /** The file that corrects the mask of this page; null where there is none, or it was made on another picture. */
  get brushed() {
    const named = this.corrections()[this.page]
    return named && [null, this.entry.mark].includes(named.mark) ? named.file : null
  }

  corrections() {
    return readCorrections(String(this.texts.value(CORRECTION) ?? ""), this.entries.length)
  }

  /** Sets another correction file for this page, or none. */
  correct(file) {
    if (this.texts.closedTo(CORRECTION)) return
    const list = this.corrections()
    list[this.page] = file && { file, mark: this.entry.mark }
    const text = writeCorrections(list)
    if (text !== this.texts.value(CORRECTION)) this.texts.write(text, CORRECTION)
  }

  /** Whether each piece will be in the mask. */
  mask() {
    const { list, inverted, map } = this
    const wanted = new Set([...this.boxed, ...this.under(POSITIVE)])
    const removed = this.under(NEGATIVE)
    const all = removed.size > 0 && wanted.size === 0 && list.size === 0
    const isIn = (piece, segment) => (all || list.has(piece) || wanted.has(segment)) && !removed.has(segment)
    return map.segments.map((segment, piece) => isIn(piece, segment) !== inverted)
  }

  /** How many segments the mask touches, and its share of the picture. */
  extent() {
    const { map, entry } = this
    const [inside, all] = [0, 1].map(() => entry.colors.map(() => 0))
    this.mask().forEach((isIn, piece) => {
      all[map.segments[piece]] += map.pixels[piece]
      if (isIn) inside[map.segments[piece]] += map.pixels[piece]
    })
    const area = entry.areas.reduce((sum, each, number) => sum + (all[number] && (each * inside[number]) / all[number]), 0)
    return { count: inside.filter(Boolean).length, area }
  }

  /** The segment at a point of the true picture, or null beside it. */
  labelAt(point) {
    return this.map.segments[this.pieceAt(point)] ?? null
  }

  /** The piece at a point of the true picture, or null beside it. */
  pieceAt(point) {
    return pieceAt(point, this.map, this.entry)
  }

  /** The piece to highlight under the pointer. */
  hoveredAt(point) {
    return this.pieceAt(point)
  }

  // --- changes

  all() {
    this.set(new Set(this.entry.colors.keys()))
  }

  /** Whether a picked piece lies at a point. */
  isPicked(point) {
    return this.list.has(this.pieceAt(point))
  }

  /** Turns the pick at a point into the next larger or smaller branch. Returns why it cannot, or null. */
  grow(point, larger) {
    if (!this.entry.tree) return say("no_tree")
    const branches = branchesOf(this.pieceAt(point), this.map, this.entry, this.everywhere)
    const { list } = this
    const level = branches.findLastIndex((branch) => branch.every((piece) => list.has(piece)))
    const next = branches[larger ? level + 1 : level - 1]
    if (next && larger) this.replace(new Set([...list, ...next]))
    else if (next) this.replace(new Set([...list].filter((each) => next.includes(each) || !branches[level].includes(each))))
    return null
  }

  /** Clears this page: the segments, and the points and the correction where they can be written. */
  clear() {
    this.set(new Set())
    this.clearPoints()
    this.correct(null)
  }

  clearPoints() {
    for (const name of [POSITIVE, NEGATIVE]) {
      if (this.pointsHere(name).length === 0 || this.texts.closedTo(name)) continue
      this.texts.write(writePoints(this.points(name).map((list, page) => (page === this.page ? [] : list))), name)
    }
  }

  /** Sets other pieces for this page; picks in the text that are too small to be shown stay. */
  replace(pieces) {
    const unseen = [...this.lists[this.page]].filter((pick) => this.piecesOf(new Set([pick])).size === 0)
    this.set(new Set([...picksOf(pieces, this.map, this.entry), ...unseen]))
  }

  /** Sets another list for this page; picks of an old segmentation stay marked as old. */
  set(list) {
    const lists = this.everywhere ? this.lists.map(() => list) : this.lists
    lists[this.page] = list
    this.write(lists, this.changed ? this.read().fingerprint : this.entry.fingerprint)
  }

  write(lists, fingerprint = this.entry.fingerprint) {
    const text = writeSelection(this.everywhere ? lists.slice(0, 1) : lists, fingerprint)
    if (text !== this.texts.selection) this.texts.write(text)
  }

  /** Adds a point at [x, y] of this page, or removes one within `reach`. Returns why it cannot, or null. */
  togglePoint(name, [x, y], reach) {
    const near = (point) => Math.hypot(point.x - x, point.y - y) <= reach
    const changed = [POSITIVE, NEGATIVE].find((each) => this.pointsHere(each).some(near)) ?? name
    const closed = this.texts.closedTo(changed)
    if (closed) return closed
    const lists = this.points(changed)
    if (!lists) return say("unread", { name: changed })
    const others = lists[this.page].filter((point) => !near(point))
    const added = others.length < lists[this.page].length ? [] : [{ x: Math.floor(x), y: Math.floor(y) }]
    lists[this.page] = [...others, ...added]
    this.texts.write(writePoints(lists), changed)
    return null
  }

  // --- from segment to segment by keys

  /** The middle of the next segment in a direction, as a point of the true picture; null where there is none. */
  neighbour(piece, [right, down]) {
    const { map, entry } = this
    map.middles ??= middles(map.labels, map.width, entry.colors.length)
    const here = map.middles[map.segments[piece]] ?? [map.width / 2, map.height / 2]
    let best = { cost: Infinity, point: null }
    for (const point of map.middles) {
      if (!point) continue
      const [x, y] = [point[0] - here[0], point[1] - here[1]]
      const [along, aside] = [x * right + y * down, Math.abs(x * down) + Math.abs(y * right)]
      const cost = along + 2 * aside
      if (along > 0 && cost < best.cost) best = { cost, point }
    }
    return best.point && [(best.point[0] * entry.width) / map.width, (best.point[1] * entry.height) / map.height]
  }

  // --- boxes, from one corner to the other, in pixels of the true picture

  /** Whether lines between the segments are drawn, in addition to the mask's own. */
  get inner() {
    return true
  }

  /** Boxes that stay where they were drawn. */
  get boxes() {
    return []
  }

  /** Picks the segments that lie mostly in the box, or the one that fills most of it, as the node's boxes do. */
  endBox() {
    const numbers = this.inBox(this.box)
    this.box = null
    const list = new Set(this.list)
    for (const piece of this.piecesOf(new Set(numbers))) this.inverted ? list.delete(piece) : list.add(piece)
    this.replace(list)
  }

  inBox({ from, to }) {
    const { map, entry } = this
    const [left, right] = [from[0], to[0]].map((x) => (x * map.width) / entry.width).sort((one, other) => one - other)
    const [top, bottom] = [from[1], to[1]].map((y) => (y * map.height) / entry.height).sort((one, other) => one - other)
    const [x1, x2] = [Math.max(0, Math.floor(left)), Math.min(map.width, Math.ceil(right))]
    const [y1, y2] = [Math.max(0, Math.floor(top)), Math.min(map.height, Math.ceil(bottom))]
    const inside = entry.colors.map(() => 0)
    for (let y = y1; y < y2; y++) for (let x = x1; x < x2; x++) inside[map.labels[y * map.width + x]]++
    const most = Math.max(...inside)
    if (!most) return []
    const mostly = [...inside.keys()].filter((number) => 2 * inside[number] > entry.areas[number] * map.labels.length)
    return mostly.length ? mostly : [inside.indexOf(most)]
  }

  // --- strokes of the pointer, from one point of the true picture to the next

  begin(point, whole = false) {
    const piece = this.pieceAt(point)
    if (piece === null) return
    this.stroke = { add: !this.mask()[piece], whole, last: point, list: new Set(this.list) }
    this.paint(point)
  }

  /** Adds every piece on the way from the stroke's last point, so that a quick pointer skips none. */
  paint(point) {
    const { last, list, add, whole } = this.stroke
    const [dx, dy] = [point[0] - last[0], point[1] - last[1]]
    const step = this.entry.width / this.map.width
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(dx), Math.abs(dy)) / step))
    const crossed = new Set()
    for (let each = 0; each <= steps; each++) {
      crossed.add(this.pieceAt([last[0] + (dx * each) / steps, last[1] + (dy * each) / steps]))
    }
    crossed.delete(null)
    for (const piece of [...crossed].flatMap((each) => this.taken(each, whole))) {
      add !== this.inverted ? list.add(piece) : list.delete(piece)
    }
    this.stroke.last = point
  }

  end() {
    const { list } = this.stroke
    this.stroke = null
    this.replace(list)
  }
}
