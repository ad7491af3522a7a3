// The picture with its segments over it, at the size in which it is shown. Its pixels are kept, and only those are painted
// anew that look different. A segment's look depends on whether it is selected and hovered.

const FILL = { plain: 0.16, selected: 0.4, hover: 0.16 } // share of the segment's colour; hovering adds to the others
const DIM = 0.5 // share of black over what is not picked, once something is picked
const BLACK = [0, 0, 0]
const [FAINT, HOVERED, SELECTED] = [90, 190, 255] // how white a line is, of 255
const LINE = 1 // pixel at each side of a border
const NOWHERE = [1e9, 1e9, 0, 0] // a box around nothing
const [RIGHT, BELOW, LEFT, ABOVE] = [1, 2, 4, 8] // sides at which a pixel's neighbour is of another piece

export class Painting {
  /** A picture of this size without the pieces' colours; `colors` has one a piece. */
  constructor(map, colors, width, height) {
    Object.assign(this, { width, height, colors: colors.map(rgb), looks: null })
    this.image = pixelsOf(map.picture, width, height)
    if (!map.pieces) return
    this.under = this.image.data.slice()
    this.pieces = sampled(map, width, height)
    this.sides = sidesOf(this.pieces, width, height)
    this.boxes = boxesOf(this.pieces, width, colors.length)
    this.none = new Float32Array(this.pieces.length)
  }

  /** Paints the pieces, by arrays of which are selected and hovered; an ImageData. `alpha` is a mask whose edge is not that of
   *  its pieces. Without `inner` only the mask's own lines are drawn. */
  show({ selected, hovered, inner }, alpha = null) {
    const dim = alpha !== null || selected.some(Boolean)
    const looks = Uint8Array.from(selected, (isIn, piece) => (isIn && !alpha) + 2 * hovered[piece] + 4 * dim)
    const { width, height } = this
    const box = this.looks ? this.changed(looks, alpha) : [0, 0, width, height]
    Object.assign(this, { looks, alpha, inner, fills: fillsOf(this.colors, hovered, dim) })
    const [left, top] = [box[0], box[1]].map((side) => Math.max(0, side - LINE))
    this.paint(left, top, Math.min(width, box[2] + LINE), Math.min(height, box[3] + LINE))
    return this.image
  }

  /** The box around all that looks different, [left, top, right, bottom]. */
  changed(looks, alpha) {
    const boxes = [...looks.keys()].filter((piece) => looks[piece] !== this.looks[piece]).map((piece) => this.boxes[piece])
    if (alpha !== this.alpha) boxes.push(difference(this.alpha ?? this.none, alpha ?? this.none, this.width))
    return boxes.reduce(around, NOWHERE)
  }

  paint(left, top, right, bottom) {
    const { width, pieces, sides, looks, alpha, fills, under } = this
    const { data } = this.image
    for (let y = top; y < bottom; y++) {
      for (let x = left, at = y * width + left; x < right; x++, at++) {
        const white = (alpha && this.maskLine(at, x)) || (sides[at] && this.line(at))
        const to = 4 * at
        if (white) {
          for (let byte = to; byte < to + 3; byte++) data[byte] = under[byte] + ((255 - under[byte]) * white) / 255
          continue
        }
        const inside = alpha ? alpha[at] > 0.5 : looks[pieces[at]] & 1
        const from = 8 * pieces[at] + (inside ? 4 : 0)
        const share = fills[from + 3] * (alpha && alpha[at] > 0 && alpha[at] < 1 ? Math.abs(2 * alpha[at] - 1) : 1)
        for (let each = 0; each < 3; each++) data[to + each] = under[to + each] + (fills[from + each] - under[to + each]) * share
      }
    }
  }

  /** How white the line between pieces is at a pixel; 0 where there is none. */
  line(at) {
    const { pieces, sides, looks, inner, width } = this
    let white = 0
    for (let side = RIGHT; side <= ABOVE; side *= 2) {
      if (!(sides[at] & side)) continue
      const other = pieces[at + (side === RIGHT ? 1 : side === LEFT ? -1 : side === BELOW ? width : -width)]
      const [here, there] = [looks[pieces[at]], looks[other]]
      if ((here ^ there) & 1) return SELECTED
      if (inner) white = Math.max(white, (here | there) & 2 ? HOVERED : FAINT)
    }
    return white
  }

  /** How white the line is where pixels are half in the mask. */
  maskLine(at, x) {
    const { alpha, width } = this
    const inside = alpha[at] > 0.5
    const right = x + 1 < width && inside !== alpha[at + 1] > 0.5
    return right || (at + width < alpha.length && inside !== alpha[at + width] > 0.5) ? SELECTED : 0
  }
}

/** The picture at drawing size, an ImageData. */
function pixelsOf(picture, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  context.imageSmoothingQuality = "high"
  context.drawImage(picture, 0, 0, width, height)
  return context.getImageData(0, 0, width, height)
}

/** The pieces at drawing size. */
function sampled(map, width, height) {
  const pieces = new Uint16Array(width * height)
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * map.width) / width))
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * map.height) / height) * map.width
    for (let x = 0; x < width; x++, at++) pieces[at] = map.pieces[row + columns[x]]
  }
  return pieces
}

/** For each pixel the sides at which its neighbour is of another piece. */
function sidesOf(pieces, width, height) {
  const sides = new Uint8Array(pieces.length)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (x + 1 < width && pieces[at + 1] !== pieces[at]) (sides[at] |= RIGHT), (sides[at + 1] |= LEFT)
      if (y + 1 < height && pieces[at + width] !== pieces[at]) (sides[at] |= BELOW), (sides[at + width] |= ABOVE)
    }
  }
  return sides
}

/** [left, top, right, bottom] around the pixels of each of `count` pieces. */
function boxesOf(pieces, width, count) {
  const boxes = Array.from({ length: count }, () => [...NOWHERE])
  for (let at = 0, x = 0, y = 0; at < pieces.length; at++) {
    include(boxes[pieces[at]], x, y)
    if (++x === width) (x = 0), y++
  }
  return boxes
}

/** The box around the pixels in which two masks differ. */
function difference(one, other, width) {
  const box = [...NOWHERE]
  for (let at = 0, x = 0, y = 0; at < one.length; at++) {
    if (one[at] !== other[at]) include(box, x, y)
    if (++x === width) (x = 0), y++
  }
  return box
}

/** Enlarges a box by a pixel. */
function include(box, x, y) {
  if (x < box[0]) box[0] = x
  if (y < box[1]) box[1] = y
  if (x >= box[2]) box[2] = x + 1
  if (y >= box[3]) box[3] = y + 1
}

function around(one, other) {
  return [0, 1, 2, 3].map((side) => (side < 2 ? Math.min : Math.max)(one[side], other[side]))
}

/** Red, green, blue and share of each piece's fill, outside the mask and inside: eight numbers a piece. */
function fillsOf(colors, hovered, dim) {
  return Float32Array.from(
    colors.flatMap((color, piece) => {
      const more = hovered[piece] ? FILL.hover : 0
      const outside = dim && !hovered[piece] ? [...BLACK, DIM] : [...color, FILL.plain + more]
      return [...outside, ...color, FILL.selected + more]
    }),
  )
}

function rgb(color) {
  return [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16))
}
