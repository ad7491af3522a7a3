// The text of points: [{"x": 10, "y": 20}] for every picture, or a list of such lists, one a picture. Where what is
// picked in one picture is picked in all, a single list is for the first picture.

/** The points {x, y} of each picture; null where the text is no such thing: the server says what is wrong with it. */
export function readPoints(text, pictures, firstAlone) {
  let read
  try {
    read = JSON.parse(text.trim() || "[]") || [] // some editors write "" for none
  } catch {
    return null
  }
  if (!Array.isArray(read)) return null
  const plain = () => Array.from({ length: pictures }, (_, picture) => (picture && firstAlone ? [] : read))
  const lists = read.length && read.every(Array.isArray) ? read : plain()
  const right = lists.flat().every((point) => Number.isFinite(point?.x) && Number.isFinite(point?.y))
  return right && lists.length === pictures ? lists.map((list) => [...list]) : null
}

/** The text for these lists; nothing where no list has a point. */
export function writePoints(lists) {
  if (lists.every((list) => list.length === 0)) return ""
  return JSON.stringify(lists.length === 1 ? lists[0] : lists)
}
