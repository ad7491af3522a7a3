// Converts between picks of the text (segment numbers, and connected parts as "3:120:45") and the pieces of a map to draw.
// The place in a part is a pixel of the true picture; steps/shown.py says which one each pixel of the map shows.

import { middles } from "./segment_map.js"
import { partOf } from "./selection_text.js"

/** The piece at a point of the true picture, or null beside it. */
export function pieceAt([x, y], map, entry) {
  const column = Math.floor((x / entry.width) * map.width)
  const row = Math.floor((y / entry.height) * map.height)
  const inside = column >= 0 && row >= 0 && column < map.width && row < map.height
  return inside ? map.pieces[row * map.width + column] : null
}

/** The pieces that a Set of picks names. */
export function piecesOf(picks, map, entry) {
  const { segments } = map
  const pieces = new Set([...segments.keys()].filter((piece) => picks.has(segments[piece])))
  for (const pick of picks) {
    if (Number.isInteger(pick)) continue
    const [segment, x, y] = partOf(pick)
    const piece = pieceAt([x + 0.5, y + 0.5], map, entry)
    if (segments[piece] === segment) pieces.add(piece)
  }
  return pieces
}

/** Picks for the text: a number where a segment is complete, else a part for each of its pieces. */
export function picksOf(pieces, map, entry) {
  const { segments } = map
  const partly = new Set(segments.filter((_, piece) => !pieces.has(piece)))
  return new Set([...pieces].map((piece) => (partly.has(segments[piece]) ? asPart(piece, map, entry) : segments[piece])))
}

/** A piece as the text has it: its segment, and a place in its middle. */
function asPart(piece, map, entry) {
  map.places ??= middles(map.pieces, map.width, map.segments.length)
  const [x, y] = map.places[piece]
  const across = Math.floor(((x + 0.5) * entry.width) / map.width)
  return [map.segments[piece], across, Math.floor(((y + 0.5) * entry.height) / map.height)].join(":")
}
