// The text of `selection`: "3, 7-9" for every picture, or "3; ; 5", one list a picture. It may end in " @1a2b3c4d", the
// fingerprint of the segmentation that the numbers were picked on. "3:120:45" is the connected part of segment 3 that holds
// the pixel (120, 45). Read here as in emerdiff_ops/segments/texts.py, but faulty pieces are skipped, because the server
// names them.

import { asTyped } from "./typed.js"

const FINGERPRINT = /^[0-9a-f]{8}$/i
const PIECE = /^(\d{1,9})(?:-(\d{1,9}))?$/
const PART = /^\d{1,9}:\d{1,9}:\d{1,9}$/

/** {lists: for each picture a Set of numbers below its count and of parts as text; fingerprint: eight digits or null}. */
export function readSelection(text, counts) {
  const at = text.lastIndexOf("@")
  const digits = text.slice(at + 1).trim()
  const made = at >= 0 && FINGERPRINT.test(digits)
  const parts = asTyped(made ? text.slice(0, at) : text).split(";")
  return {
    lists: counts.map((count, index) => picksOf(parts.length === 1 ? parts[0] : parts[index] ?? "", count)),
    fingerprint: made ? digits.toLowerCase() : null,
  }
}

function picksOf(part, count) {
  const picks = new Set()
  for (const piece of piecesOf(part)) {
    if (PART.test(piece) && partOf(piece)[0] < count) picks.add(partOf(piece).join(":"))
    const match = PIECE.exec(piece)
    if (!match) continue
    const last = Math.min(match[2] ?? match[1], count - 1)
    for (let number = Number(match[1]); number <= last; number++) picks.add(number)
  }
  return picks
}

/** [segment, x, y] of a part as text. */
export function partOf(text) {
  return text.split(":").map(Number)
}

/** The pieces between commas or spaces; a range is one piece: "[3, 7 - 9]" gives 3 and 7-9. */
function piecesOf(part) {
  const words = part.trim().replace(/^\[/, "").replace(/\]$/, "").split(/\s+/).join(" ")
  return words.replaceAll("- ", "-").replaceAll(" -", "-").replaceAll(",", " ").split(" ").filter(Boolean)
}

/** The text for these lists; empty where no list has a pick. */
export function writeSelection(lists, fingerprint) {
  if (lists.every((list) => list.size === 0)) return ""
  return `${lists.map(rangesOf).join("; ")} @${fingerprint}`
}

function rangesOf(picks) {
  const ranges = []
  for (const number of [...picks].filter(Number.isInteger).sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.[1] === number - 1) last[1] = number
    else ranges.push([number, number])
  }
  const parts = [...picks].filter((each) => !Number.isInteger(each))
  return [...ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)), ...parts].join(", ")
}
