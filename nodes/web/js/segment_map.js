// One picture of the batch with its label map, as they are drawn on a canvas.
// A segment's look depends on whether it is selected and hovered; borders are drawn at the canvas's own resolution.

const FILL = { plain: 0.16, selected: 0.4, hover: 0.16 } // share of the segment's colour; hovering adds to the others
const DIM = 0.5 // of black over what is not picked, once something is
const FAINT = [255, 255, 255, 90]
const HOVERED = [255, 255, 255, 190]
const SELECTED = [255, 255, 255, 255]
const REMEMBERED = 12
const decoded = new Map() // by address; an undo makes the node anew, and its picture shall not flicker

/** {picture: ImageBitmap, labels: Uint16Array, width, height} of an entry that the node sent. */
export function loadSegmentMap(pictureAddress, labelsAddress) {
  const key = `${pictureAddress}\n${labelsAddress}`
  const known = decoded.get(key) ?? decode(pictureAddress, labelsAddress)
  decoded.delete(key)
  decoded.set(key, known) // the last used stand last
  known.catch(() => decoded.delete(key))
  if (decoded.size > REMEMBERED) decoded.delete(decoded.keys().next().value)
  return known
}

async function decode(pictureAddress, labelsAddress) {
  const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" }
  const [picture, map] = await Promise.all([
    fetchBlob(pictureAddress).then((blob) => createImageBitmap(blob)),
    fetchBlob(labelsAddress).then((blob) => createImageBitmap(blob, exact)),
  ])
  const { width, height } = map
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  context.drawImage(map, 0, 0)
  const { data } = context.getImageData(0, 0, width, height)
  const labels = new Uint16Array(width * height)
  for (let at = 0, from = 0; at < labels.length; at++, from += 4) {
    labels[at] = (data[from] >> 3) | ((data[from + 1] >> 3) << 5) | ((data[from + 2] >> 3) << 10)
  }
  return { picture, labels, width, height }
}

async function fetchBlob(address) {
  const answer = await fetch(address)
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`)
  return answer.blob()
}

/** The labels at the size they are drawn in, and where they border: {labels, edges, across}, each edge with its neighbour. */
export function sampled(map, width, height) {
  const labels = new Uint16Array(width * height)
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * map.height) / height) * map.width
    for (let x = 0; x < width; x++, at++) labels[at] = map.labels[row + Math.floor(((x + 0.5) * map.width) / width)]
  }
  const edges = []
  const across = []
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const right = x + 1 < width && labels[at + 1] !== labels[at]
      const below = y + 1 < height && labels[at + width] !== labels[at]
      if (!right && !below) continue
      const other = right ? at + 1 : at + width
      edges.push(at, other)
      across.push(other, at)
    }
  }
  return { labels, edges, across, width, height }
}

/** Colours over the picture: the sampled labels as an ImageData. `alpha`: of a mask with another edge than its segments.
 *  Without `inner`, no lines but the mask's own. */
export function paintOver(drawn, colors, isSelected, hovered, alpha = null, inner = true) {
  const image = new ImageData(drawn.width, drawn.height)
  const pixels = new Uint32Array(image.data.buffer)
  const selected = colors.map((_, number) => isSelected(number))
  const dim = selected.some(Boolean)
  const [inside, outside] = [true, false].map((within) => fills(colors, hovered, within, dim))
  const { labels } = drawn
  for (let at = 0; at < pixels.length; at++) {
    pixels[at] = ((alpha ? alpha[at] > 0.5 : selected[labels[at]]) ? inside : outside)[labels[at]]
  }
  drawBorders(pixels, drawn, hovered, alpha ? null : selected, inner)
  if (alpha) blend(image, alpha, drawn)
  return image
}

/** The look of each segment's pixels within the mask, or outside of it. */
function fills(colors, hovered, within, dim) {
  return colors.map((color, number) => {
    if (!within && dim && number !== hovered) return word([0, 0, 0, Math.round(255 * DIM)])
    const share = (within ? FILL.selected : FILL.plain) + (number === hovered ? FILL.hover : 0)
    return word([...rgb(color), Math.round(255 * share)])
  })
}

function drawBorders(pixels, drawn, hovered, selected, inner) {
  const [faint, bright, strong] = [FAINT, HOVERED, SELECTED].map(word)
  drawn.edges.forEach((at, index) => {
    const [here, there] = [drawn.labels[at], drawn.labels[drawn.across[index]]]
    if (selected && selected[here] !== selected[there]) pixels[at] = strong
    else if (!inner) return
    else if (here === hovered || there === hovered) pixels[at] = bright
    else if (pixels[at] !== strong) pixels[at] = faint
  })
}

/** The mask's own edge: what is neither in nor out is between the two looks, and a line lies in its middle. */
function blend(image, alpha, { width, height }) {
  const pixels = new Uint32Array(image.data.buffer)
  const strong = word(SELECTED)
  for (let at = 0; at < alpha.length; at++) {
    if (alpha[at] > 0 && alpha[at] < 1) image.data[4 * at + 3] *= Math.abs(2 * alpha[at] - 1)
  }
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const right = x + 1 < width && alpha[at] > 0.5 !== alpha[at + 1] > 0.5
      const below = y + 1 < height && alpha[at] > 0.5 !== alpha[at + width] > 0.5
      if (right || below) pixels[at] = strong
    }
  }
}

/** For every segment the pixel of it that is next to its middle, as [x, y] of the map; null where it has none. */
export function middles({ labels, width }, count) {
  const sums = Array.from({ length: count }, () => [0, 0, 0])
  labels.forEach((number, at) => {
    const sum = sums[number]
    sum[0] += at % width
    sum[1] += Math.floor(at / width)
    sum[2] += 1
  })
  const nearest = Array.from({ length: count }, () => ({ away: Infinity, point: null }))
  labels.forEach((number, at) => {
    const [x, y] = [at % width, Math.floor(at / width)]
    const [across, down, pixels] = sums[number]
    const away = (x - across / pixels) ** 2 + (y - down / pixels) ** 2
    if (away < nearest[number].away) nearest[number] = { away, point: [x, y] }
  })
  return nearest.map(({ point }) => point)
}

function rgb(color) {
  return [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16))
}

function word([red, green, blue, alpha]) {
  return new Uint32Array(new Uint8ClampedArray([red, green, blue, alpha]).buffer)[0]
}
