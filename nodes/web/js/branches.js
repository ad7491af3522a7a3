// What a pick may grow to, by the tree in which segments merge: from the part to the thing to the scene.

import { piecesOf } from "./pieces.js"

/** The branches with a piece, from its own segment up to the whole picture, each a list of pieces: those connected with the
 *  piece, as a click takes the connected part. With `whole` all of each branch. */
export function branchesOf(piece, map, entry, whole) {
  const found = numbersOf(map.segments[piece], entry).map((numbers) => {
    const all = piecesOf(numbers, map, entry)
    return whole ? [...all] : connected(piece, all, (map.touching ??= touchingOf(map)))
  })
  return found.filter((branch, level) => branch.length !== found[level - 1]?.length)
}

/** The segments of each branch with this segment, as Sets. */
function numbersOf(segment, { colors, tree }) {
  const found = [new Set([segment])]
  const parts = new Map(colors.map((_, each) => [each, [each]]))
  for (const [kept, gone] of tree ?? []) {
    const both = [...parts.get(kept), ...parts.get(gone)]
    parts.set(kept, both)
    if (both.includes(segment)) found.push(new Set(both))
  }
  return found
}

/** For each piece the pieces that touch it, as Sets. */
function touchingOf({ pieces, width, segments }) {
  const touching = segments.map(() => new Set())
  const meet = (one, other) => {
    if (one !== other) touching[one].add(other), touching[other].add(one)
  }
  for (let at = 0, x = 1; at < pieces.length; at++, x++) {
    if (x < width) meet(pieces[at], pieces[at + 1])
    else x = 0
    if (at + width < pieces.length) meet(pieces[at], pieces[at + width])
  }
  return touching
}

/** The pieces among a Set that can be reached from a piece over others of the Set. */
function connected(piece, among, touching) {
  const found = new Set([piece])
  for (const each of found) for (const next of touching[each]) if (among.has(next)) found.add(next)
  return [...found]
}
