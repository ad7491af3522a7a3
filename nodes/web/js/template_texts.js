// Notes, titles, labels and groups of the pack's own workflows in the front end's language, as they open. The front end
// translates nodes but nothing that is written in a workflow. Which workflow is ours is seen by its note, as it is in English.

import { app } from "../../../scripts/app.js"
import { translations } from "./texts.js"

const NOTES = ["MarkdownNote", "Note"]

app.registerExtension({
  name: "emerdiff.TemplateTexts",
  beforeConfigureGraph(graph) {
    const texts = translations("emerdiff_workflows")
    const translated = (text) => texts[text] ?? text
    const isOurs = (node) => NOTES.includes(node.type) && texts[node.widgets_values?.[0]]
    if (!graph.nodes?.some(isOurs)) return
    for (const titled of [...graph.nodes, ...(graph.groups ?? [])]) {
      if (titled.title) titled.title = translated(titled.title)
    }
    for (const node of graph.nodes) {
      for (const input of node.inputs ?? []) if (input.label) input.label = translated(input.label)
      if (NOTES.includes(node.type)) node.widgets_values = node.widgets_values.map(translated)
    }
  },
})
