// EmerDiff Select Segments: a picture to click in. The only state is the text of the node's `selection`; the
// drawing comes from the node's last result. Without this file the node works by its text fields.

import { app } from "../../../scripts/app.js"
import { Picker } from "./picker.js"
import { say } from "./texts.js"

export const NODE = "EmerDiffSelectSegments"
const SMALLEST = [340, 580] // of the node

app.registerExtension({
  name: "emerdiff.SelectSegments",
  nodeCreated(node) {
    if (node.constructor.comfyClass === NODE) addToNode(node, new Picker(node))
  },
})

/** Puts a picker on its node, in place of the pictures that the front end would show there. */
export function addToNode(node, picker) {
  addPicture(node, picker)
  node.hideOutputImages = true // in the Vue nodes
  node.onDrawBackground = () => {} // in the classic canvas, where this function draws a node's images
  node.setSize(node.size.map((length, axis) => Math.max(length, SMALLEST[axis])))
  node.onAdded = chained(node.onAdded, () => picker.start())
  node.onRemoved = chained(node.onRemoved, () => picker.stop())
}

/** Adds only the widget. */
export function addPicture(node, picker) {
  const widget = node.addDOMWidget("segments", "emerdiff_segments", picker.root, {
    serialize: false, // not part of the prompt
    hideOnZoom: false,
    getMinHeight: () => 240,
    getValue: () => "",
    setValue: () => {},
  })
  widget.serialize = false // nor of the workflow
  widget.label = say("widget") // in App mode
  keepWidth(widget)
  return widget
}

/** Keeps the widget as wide as its node. The panel of properties draws it too, and would set the panel's width on it. */
function keepWidth(widget) {
  Object.defineProperty(widget, "width", { configurable: true, get: () => undefined, set: () => {} })
}

export function chained(before, after) {
  return function (...values) {
    before?.apply(this, values)
    after()
  }
}
