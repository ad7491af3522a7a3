// What the node does to a finished mask at its edge (emerdiff_ops/segments/edge.py), at the size in which it is drawn.

const FAR = 1e9 // squared pixels
const HARD = 0.01 // pixels: a feather below it is none

/** clip((d + grow) / feather + 1/2, 0, 1) of a mask of 0 and 1, lengths in its pixels: a Float32Array. */
export function edged(inside, width, height, { grow, feather, fillHoles }) {
  const hard = fillHoles ? withoutHoles(inside, width, height) : inside
  const [within, without] = [1, 0].map((side) => distances(hard, side, width, height))
  return Float32Array.from(hard, (value, at) => {
    const distance = (value ? Math.sqrt(within[at]) - 0.5 : 0.5 - Math.sqrt(without[at])) + grow
    if (feather < HARD) return distance > 0 ? 1 : 0
    return Math.min(1, Math.max(0, distance / feather + 0.5))
  })
}

/** What cannot be reached from the border outside the mask belongs to it. */
function withoutHoles(inside, width, height) {
  const filled = new Uint8Array(inside.length).fill(1)
  const open = []
  const visit = (at) => {
    if (inside[at] || !filled[at]) return
    filled[at] = 0
    open.push(at)
  }
  for (let x = 0; x < width; x++) [x, (height - 1) * width + x].forEach(visit)
  for (let y = 0; y < height; y++) [y * width, y * width + width - 1].forEach(visit)
  while (open.length) {
    const at = open.pop()
    const x = at % width
    if (x > 0) visit(at - 1)
    if (x + 1 < width) visit(at + 1)
    if (at >= width) visit(at - width)
    if (at + width < inside.length) visit(at + width)
  }
  return filled
}

/** Squared distances to the nearest pixel of the other side, by rows and then by columns; exact (Felzenszwalb, 2012). */
function distances(hard, side, width, height) {
  const squared = Float64Array.from(hard, (value) => (Boolean(value) === Boolean(side) ? FAR : 0))
  for (let y = 0; y < height; y++) lowerEnvelope(squared, y * width, 1, width)
  for (let x = 0; x < width; x++) lowerEnvelope(squared, x, width, height)
  return squared
}

function lowerEnvelope(values, first, step, count) {
  const own = Float64Array.from({ length: count }, (_, each) => values[first + each * step])
  const places = new Int32Array(count)
  const from = new Float64Array(count + 1)
  let last = 0
  from[0] = -Infinity
  from[1] = Infinity
  for (let each = 1; each < count; each++) {
    let meet = meeting(own, each, places[last])
    while (meet <= from[last]) meet = meeting(own, each, places[--last])
    places[++last] = each
    from[last] = meet
    from[last + 1] = Infinity
  }
  for (let each = 0, at = 0; each < count; each++) {
    while (from[at + 1] < each) at++
    values[first + each * step] = (each - places[at]) ** 2 + own[places[at]]
  }
}

function meeting(own, one, other) {
  return (own[one] + one * one - own[other] - other * other) / (2 * (one - other))
}
