// One picture of the batch with its label map, as the node sent them.

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
