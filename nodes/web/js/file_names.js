// EmerDiff Save: replaces %date:yyyy-MM-dd% and %KSampler.seed% in the name when the graph is queued, by the front end's own
// function, as in the host's Save Image. The workflow keeps the name as it was typed.

import { app } from "../../../scripts/app.js"

const NODE = "EmerDiffSave"

app.registerExtension({
  name: "emerdiff.FileNames",
  nodeCreated(node) {
    if (node.constructor.comfyClass !== NODE) return
    const widget = node.widgets.find((each) => each.name === "filename_prefix")
    widget.serializeValue = () => replaced(widget.value)
  },
})

function replaced(name) {
  const replace = window.comfyAPI?.utils?.applyTextReplacements
  return replace && typeof name === "string" ? replace(app, name) : name
}
