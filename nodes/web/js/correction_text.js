// The text of `correction`: one file of the input folder for every picture, or "a.png; ; b.png", one a picture. A file may end
// in " @1a2b3c4d", the mark of the picture it was made on. Read here as in emerdiff_ops/segments/brush.py.

const MADE_ON = /^(.*?)\s*(?:@\s*([0-9a-f]{8}))?$/i

/** {file, mark: eight digits or null} for each picture, null where there is none. */
export function readCorrections(text, count) {
  const parts = text.split(";").map((part) => part.trim())
  const named = Array.from({ length: count }, (_, picture) => (parts.length === 1 ? parts[0] : parts[picture]))
  return named.map((part) => {
    if (!part) return null
    const [, file, mark] = MADE_ON.exec(part)
    return { file, mark: mark?.toLowerCase() ?? null }
  })
}

export function writeCorrections(list) {
  if (!list.some(Boolean)) return ""
  return list.map((each) => (each ? [each.file, each.mark].filter(Boolean).join(" @") : "")).join("; ")
}
