// Changes a finished mask's edge as the node does (emerdiff_ops/segments/edge.py), at the size in which it is drawn.

const FAR = 1e9 // squared pixels
const HARD = 0.01 // pixels: a smaller feather counts as none

/** clip((d + grow) / feather + 1/2, 0, 1) of a mask of 0 and 1, lengths in its pixels: a Float32Array. */
export function edged(inside, width, height, edge) {
  const alpha = new Float32Array(inside.length)
  const reach = Math.max(0, edge.grow) + edge.feather + 1
  const box = boxAround(inside, width, height, Math.ceil(reach))
  if (!box) return alpha
  const [left, top, wide, high] = box
  const part = new Uint8Array(wide * high)
  for (let y = 0; y < high; y++) part.set(inside.subarray((top + y) * width + left).subarray(0, wide), y * wide)
  const changed = edgedWithin(part, wide, high, edge)
  for (let y = 0; y < high; y++) alpha.set(changed.subarray(y * wide, (y + 1) * wide), (top + y) * width + left)
  return alpha
}

function edgedWithin(inside, width, height, { grow, feather, fillHoles }) {
  const hard = fillHoles ? withoutHoles(inside, width, height) : inside
  const reach = Math.abs(grow) + feather / 2 + 1 // farther pixels are wholly in or out
  const [within, without] = [1, 0].map((side) => distances(hard, side, width, height, reach))
  const alpha = new Float32Array(hard.length)
  for (let at = 0; at < alpha.length; at++) {
    const distance = (hard[at] ? Math.sqrt(within[at]) - 0.5 : 0.5 - Math.sqrt(without[at])) + grow
    alpha[at] = feather < HARD ? distance > 0 : Math.min(1, Math.max(0, distance / feather + 0.5))
  }
  return alpha
}

/** [left, top, width, height] of the box around a mask, with `reach` pixels more at each side; null for an empty mask. */
function boxAround(inside, width, height, reach) {
  let [left, top, right, bottom] = [width, height, -1, -1]
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!inside[at]) continue
      if (x < left) left = x
      if (x > right) right = x
      if (y < top) top = y
      bottom = y
    }
  }
  if (right < 0) return null
  const [x, y] = [left, top].map((side) => Math.max(0, side - reach))
  return [x, y, Math.min(width, right + reach + 1) - x, Math.min(height, bottom + reach + 1) - y]
}

/** Fills the holes of a mask: pixels that cannot be reached from the border outside it. */
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

/** Squared distances to the nearest pixel not on `side`, by rows and then by columns (Felzenszwalb, 2012). They are exact up
 *  to `reach`, and only known to be larger beyond. */
function distances(hard, side, width, height, reach) {
  const squared = new Float32Array(hard.length)
  for (let y = 0; y < height; y++) alongRow(squared, hard, side, y * width, width, reach)
  const scratch = [new Float64Array(height), new Int32Array(height), new Float64Array(height + 1)]
  for (let x = 0; x < width; x++) lowerEnvelope(squared, x, width, height, ...scratch)
  return squared
}

/** Squared distances within one row; FAR beyond the reach. */
function alongRow(squared, hard, side, first, width, reach) {
  for (let at = first, away = FAR; at < first + width; at++) {
    away = hard[at] === side ? away + 1 : 0
    squared[at] = away > reach ? FAR : away * away
  }
  for (let at = first + width - 1, away = FAR; at >= first; at--) {
    away = hard[at] === side ? away + 1 : 0
    if (away <= reach) squared[at] = Math.min(squared[at], away * away)
  }
}

/** Adds the distances along a column. Most columns have few pixels within the reach, or none. */
function lowerEnvelope(values, first, step, count, own, places, from) {
  let last = -1
  for (let each = 0; each < count; each++) {
    own[each] = values[first + each * step]
    if (own[each] === FAR) continue
    let meet = last < 0 ? -Infinity : meeting(own, each, places[last])
    while (meet <= from[last]) meet = meeting(own, each, places[--last])
    places[++last] = each
    from[last] = meet
  }
  if (last < 0) return
  from[last + 1] = Infinity
  for (let each = 0, at = 0; each < count; each++) {
    while (from[at + 1] < each) at++
    values[first + each * step] = (each - places[at]) * (each - places[at]) + own[places[at]]
  }
}

function meeting(own, one, other) {
  return (own[one] + one * one - own[other] - other * other) / (2 * (one - other))
}
