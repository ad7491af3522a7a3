// Removes the line that says how long a node took: users read it while the node runs. Front ends before 1.58 leave it there
// after the run, where it takes room from the picture. Lines that say something else stay.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"

const LINE = "$$node-text-preview"
const PROGRESS = /^\d+ (of \d+|[a-z]+ in) / // as Progress in nodes/host/progress.py writes it

api.addEventListener("execution_success", () => {
  for (const node of app.canvas.graph.nodes) {
    if (!node.constructor.comfyClass?.startsWith("EmerDiff")) continue
    const line = node.widgets?.find(({ name, value }) => name === LINE && PROGRESS.test(value))
    if (line) node.removeWidget(line)
  }
})
