// One picture of the batch with its label map, as they are drawn on a canvas.
// A segment's look depends on whether it is selected and hovered; borders are drawn at the canvas's own resolution.

const FILL = { plain: 0.16, selected: 0.4, hover: 0.16 } // share of the segment's colour; hovering adds to the others
const DIM = 0.5 // share of black over what is not picked, once something is picked
const FAINT = [255, 255, 255, 90]
const HOVERED = [255, 255, 255, 190]
const SELECTED = [255, 255, 255, 255]
const REMEMBERED = 12
const decoded = new Map() // by address; keeps the picture from flickering when an undo recreates the node

/** {picture: ImageBitmap, labels: Uint16Array, pieces: Uint16Array, segments, pixels, width, height} of an entry that the
 *  node sent. Pieces are the segments' connected parts, or the segments where no parts were sent. `segments` and `pixels`
 *  hold the segment and the number of pixels of each piece. */
export function loadSegmentMap(...addresses) {
  const key = addresses.join("\n")
  const known = decoded.get(key) ?? decode(...addresses)
  decoded.delete(key)
  decoded.set(key, known) // keeps the last used at the end
  known.catch(() => decoded.delete(key))
  if (decoded.size > REMEMBERED) decoded.delete(decoded.keys().next().value)
  return known
}

async function decode(pictureAddress, ...mapAddresses) {
  const [picture, map, parts] = await Promise.all([
    fetchBlob(pictureAddress).then((blob) => createImageBitmap(blob)),
    ...mapAddresses.map(decodeNumbers),
  ])
  return { picture, labels: map.numbers, ...piecesOf(map.numbers, parts?.numbers), width: map.width, height: map.height }
}

/** The number that each pixel of a picture encodes: five bits in each channel. */
async function decodeNumbers(address) {
  const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" }
  const map = await createImageBitmap(await fetchBlob(address), exact)
  const { width, height } = map
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  context.drawImage(map, 0, 0)
  const { data } = context.getImageData(0, 0, width, height)
  const numbers = new Uint16Array(width * height)
  for (let at = 0, from = 0; at < numbers.length; at++, from += 4) {
    numbers[at] = (data[from] >> 3) | ((data[from + 1] >> 3) << 5) | ((data[from + 2] >> 3) << 10)
  }
  return { numbers, width, height }
}

/** The piece of each pixel, numbered in reading order, and for each piece its segment and its number of pixels. */
function piecesOf(labels, parts) {
  const pieces = new Uint16Array(labels.length)
  const [known, segments, pixels] = [new Map(), [], []]
  for (let at = 0, last = -1, piece = 0; at < pieces.length; at++) {
    const key = labels[at] * 2 ** 15 + (parts?.[at] ?? 0)
    if (key !== last) {
      if (!known.has(key)) known.set(key, segments.push(labels[at]) - 1)
      piece = known.get(key)
      last = key
    }
    pieces[at] = piece
    pixels[piece] = (pixels[piece] ?? 0) + 1
  }
  return { pieces, segments, pixels }
}

async function fetchBlob(address) {
  const answer = await fetch(address)
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`)
  return answer.blob()
}

/** The pieces at drawing size, and their borders: {pieces, edges, across}, edge pixels with their neighbours across. */
export function sampled(map, width, height) {
  const pieces = new Uint16Array(width * height)
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * map.height) / height) * map.width
    for (let x = 0; x < width; x++, at++) pieces[at] = map.pieces[row + Math.floor(((x + 0.5) * map.width) / width)]
  }
  const edges = []
  const across = []
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const right = x + 1 < width && pieces[at + 1] !== pieces[at]
      const below = y + 1 < height && pieces[at + width] !== pieces[at]
      if (!right && !below) continue
      const other = right ? at + 1 : at + width
      edges.push(at, other)
      across.push(other, at)
    }
  }
  return { pieces, edges, across, width, height }
}

/** The sampled pieces as an ImageData over the picture, by each piece's colour, and whether it is selected and hovered.
 *  `alpha` is a mask whose edge is not that of its pieces. Without `inner` only the mask's own lines are drawn. */
export function paintOver(drawn, { colors, selected, hovered }, alpha = null, inner = true) {
  const image = new ImageData(drawn.width, drawn.height)
  const pixels = new Uint32Array(image.data.buffer)
  const dim = alpha !== null || selected.some(Boolean)
  const [inside, outside] = [true, false].map((within) => fills(colors, hovered, within, dim))
  const { pieces } = drawn
  for (let at = 0; at < pixels.length; at++) {
    pixels[at] = ((alpha ? alpha[at] > 0.5 : selected[pieces[at]]) ? inside : outside)[pieces[at]]
  }
  drawBorders(pixels, drawn, hovered, alpha ? null : selected, inner)
  if (alpha) blend(image, alpha, drawn)
  return image
}

/** The colour of each piece's pixels, inside the mask or outside. */
function fills(colors, hovered, within, dim) {
  return colors.map((color, piece) => {
    if (!within && dim && !hovered[piece]) return word([0, 0, 0, Math.round(255 * DIM)])
    const share = (within ? FILL.selected : FILL.plain) + (hovered[piece] ? FILL.hover : 0)
    return word([...rgb(color), Math.round(255 * share)])
  })
}

function drawBorders(pixels, drawn, hovered, selected, inner) {
  const [faint, bright, strong] = [FAINT, HOVERED, SELECTED].map(word)
  drawn.edges.forEach((at, index) => {
    const [here, there] = [drawn.pieces[at], drawn.pieces[drawn.across[index]]]
    if (selected && selected[here] !== selected[there]) pixels[at] = strong
    else if (!inner) return
    else if (hovered[here] || hovered[there]) pixels[at] = bright
    else if (pixels[at] !== strong) pixels[at] = faint
  })
}

/** Draws the mask's own edge: pixels partly in the mask fade towards the edge's middle, where a line lies. */
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

/** For every number of a map, its pixel nearest to its middle, as [x, y] of the map; null where it has no pixel. */
export function middles(numbers, width, count) {
  const [across, down, pixels] = [0, 1, 2].map(() => new Float64Array(count))
  for (let at = 0, x = 0, y = 0; at < numbers.length; at++) {
    const number = numbers[at]
    across[number] += x
    down[number] += y
    pixels[number]++
    if (++x === width) (x = 0), y++
  }
  for (let number = 0; number < count; number++) {
    across[number] /= pixels[number]
    down[number] /= pixels[number]
  }
  const [least, nearest] = [new Float64Array(count).fill(Infinity), new Int32Array(count)]
  for (let at = 0, x = 0, y = 0; at < numbers.length; at++) {
    const number = numbers[at]
    const right = x - across[number]
    const below = y - down[number]
    const away = right * right + below * below
    if (away < least[number]) (least[number] = away), (nearest[number] = at)
    if (++x === width) (x = 0), y++
  }
  return Array.from(nearest, (at, number) => (pixels[number] ? [at % width, Math.floor(at / width)] : null))
}

function rgb(color) {
  return [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16))
}

function word([red, green, blue, alpha]) {
  return new Uint32Array(new Uint8ClampedArray([red, green, blue, alpha]).buffer)[0]
}
