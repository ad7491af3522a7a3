// Translates notes, titles, labels and groups of the pack's own workflows into the front end's language when they open. The
// front end translates nodes, but no text inside a workflow. The English note tells that a workflow is ours.

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
