// Turns typed text into plain characters, as emerdiff_ops/segments/texts.py does.

/** Full-width characters, dashes, round brackets and single quotes as the plain ones they stand for. */
export function asTyped(text) {
  return text
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replaceAll("\u3000", " ")
    .replaceAll("\u3001", ",")
    .replace(/[\u2013\u2014\u2212]/g, "-")
    .replaceAll("(", "[")
    .replaceAll(")", "]")
    .replaceAll("'", '"')
}
