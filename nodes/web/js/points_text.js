// The text of points: [{"x": 10, "y": 20}] for every picture, or a list of such lists, one a picture, in every form that
// emerdiff_ops/segments/texts.py reads. Where a pick in one picture counts in all, a single list is for the first picture.

import { asTyped } from "./typed.js"

/** The points {x, y} in each picture of `sizes` {width, height}; null for a faulty text, which the server explains. */
export function readPoints(text, sizes, firstAlone) {
  try {
    const lists = partsOf(text).flatMap((part) => listsOf(valueOf(part)))
    if (lists.length === 1) while (lists.length < sizes.length) lists.push(firstAlone ? [] : [...lists[0]])
    if (lists.length !== sizes.length) return null
    const places = lists.map((list) => list.map(placeOf))
    const shares = areShares(places.flat(2))
    return places.map((list, picture) => list.map((place) => pixelAt(place, sizes[picture], shares)))
  } catch {
    return null
  }
}

/** The text or, where it is not JSON, its parts between semicolons. */
function partsOf(text) {
  return parsed(text) === undefined ? asTyped(text).split(";") : [text]
}

function valueOf(text) {
  if (["", '""'].includes(text.trim())) return null // some editors write "" for none
  const spaced = text.replaceAll(",", " ").split(/\s+/).filter(Boolean).join(", ")
  const value = [text, `[${text}]`, `[${spaced}]`].map(parsed).find((each) => each !== undefined)
  if (value === undefined) throw new Error(text)
  return value
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** One list of points for every picture, or one for each; {} among the points counts as none. */
function listsOf(value) {
  if (value === null || value === "" || (Array.isArray(value) && value.length === 0) || isEmpty(value)) return [[]]
  if (placeOf(value)) return [[value]]
  const many = Array.isArray(value) ? value : [value]
  const nested = many.every((each) => Array.isArray(each) && !placeOf(each))
  const lists = (nested ? many : [many]).map((list) => list.filter((each) => !isEmpty(each)))
  if (!lists.flat().every(placeOf)) throw new Error("no point")
  return lists
}

function isEmpty(value) {
  return Object(value) === value && !Array.isArray(value) && Object.keys(value).length === 0
}

/** [x, y] of a point, or null where it is none. Points with labels are refused: they mix two kinds. */
function placeOf(point) {
  if (point?.labels) throw new Error("labels")
  const place = Array.isArray(point) ? point : [point?.x, point?.y]
  return place.length === 2 && place.every(Number.isFinite) ? place : null
}

/** Whether the numbers are shares of the picture's sides, not pixels: all within 0..1, and at least one not whole. */
function areShares(numbers) {
  return numbers.every((each) => each >= 0 && each <= 1) && numbers.some((each) => !Number.isInteger(each))
}

function pixelAt([x, y], { width, height }, shares) {
  const [across, down] = shares ? [x * width, y * height] : [x, y]
  if (across < 0 || down < 0 || across > width || down > height) throw new Error("outside")
  return { x: Math.min(Math.floor(across), width - 1), y: Math.min(Math.floor(down), height - 1) }
}

/** The text for these lists; empty where no list has a point. */
export function writePoints(lists) {
  if (lists.every((list) => list.length === 0)) return ""
  return JSON.stringify(lists.length === 1 ? lists[0] : lists)
}
