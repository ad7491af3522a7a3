// Parts of a page: elements with their children, buttons, styles, and a share as text.

const STYLES = fetch(new URL("select_segments.css", import.meta.url)).then((answer) => answer.text())

export function element(tag, name = "", ...children) {
  const made = document.createElement(tag)
  if (name) made.className = name
  made.append(...children)
  return made
}

export function button(label, title, act) {
  const made = Object.assign(element("button", "", label), { type: "button", title })
  made.addEventListener("click", act)
  return made
}

/** The styles, to be put beside what uses them, not into the page's head. As text: a link reloads when its element moves. */
export function ownStyles() {
  const styles = element("style")
  STYLES.then((text) => styles.append(text))
  return styles
}

export function percent(part) {
  return `${(100 * part).toFixed(1)}%`
}
