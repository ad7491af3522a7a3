// A node that expands into others shows the picture of one of them, and ComfyUI caches it with that one. A run that finds
// the outer node cached sends no picture for it. A reloaded page would then show none, and a cache of several results would
// leave another result's picture. The server's history still has the right one, with the newest prompt that ran the same
// node on the same inputs. This file passes that picture to the front end as if it had just come.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"

const EXPANDING = ["EmerDiffSegmentImage"]
const [FEW, MANY] = [16, 256] // prompts of the history searched at first, and at most; they are large
const REMEMBERED = 64
const reported = new Map() // node id -> {promptId, output: null where cached} of a run that is not in the history yet
const known = new Map() // outputs by what they depend on, the last used at the end

api.addEventListener("execution_cached", ({ detail: { nodes, prompt_id: promptId } }) => {
  for (const nodeId of nodes.filter(expands)) reported.set(nodeId, { promptId, output: null })
})

api.addEventListener("executed", ({ detail: { node, display_node: nodeId, prompt_id: promptId, output } }) => {
  if (output && node !== nodeId && expands(nodeId)) reported.set(nodeId, { promptId, output })
})

api.addEventListener("executing", ({ detail }) => {
  if (detail !== null) return // null: a run has ended and is in the history
  for (const [nodeId, report] of reported) settle(nodeId, report)
  reported.clear()
})

/** Whether the node with this id is one of ours that expand; "12:5" is node 5 inside the subgraph node 12. */
function expands(id) {
  const [first, ...inside] = `${id}`.split(":")
  const graph = app.rootGraph ?? app.graph
  const node = inside.reduce((outer, each) => outer?.subgraph?.getNodeById(each), graph.getNodeById(first))
  return EXPANDING.includes(node?.constructor.comfyClass)
}

async function settle(nodeId, { promptId, output }) {
  const run = (await history(`/${promptId}`))[promptId]
  if (!run) return
  const subject = subjectOf(run, nodeId)
  const found = output ?? known.get(subject) ?? (await findIn(subject))
  if (!found) return
  known.delete(subject)
  known.set(subject, found)
  if (known.size > REMEMBERED) known.delete(known.keys().next().value)
  if (output) return
  api.dispatchCustomEvent("executed", { node: nodeId, display_node: nodeId, prompt_id: promptId, output: found })
}

/** The result of the newest run of such a node on the same inputs, in whichever workflow, or undefined. */
async function findIn(subject) {
  for (let items = FEW; items <= MANY; items *= 4) {
    const runs = Object.values(await history(`?max_items=${items}`)).reverse() // the newest first
    for (const run of runs) {
      const outerOf = (id) => run.meta?.[id]?.display_node ?? id
      const inner = Object.keys(run.outputs).filter((id) => outerOf(id) !== id)
      const outer = [...new Set(inner.map(outerOf))].findLast((id) => subjectOf(run, id) === subject)
      if (outer) return run.outputs[inner.findLast((id) => outerOf(id) === outer)]
    }
    if (runs.length < items) return
  }
}

/** What a node's result depends on, as text: its class and inputs, and those of all nodes before it. The nodes are numbered
 *  in the order in which they are met, because another workflow may give the same nodes other ids. */
function subjectOf(run, nodeId) {
  const prompt = run.prompt[2]
  const met = [nodeId]
  const number = (id) => {
    if (!met.includes(id)) met.push(id)
    return met.indexOf(id)
  }
  const nodes = []
  for (const id of met) {
    const { class_type, inputs } = prompt[id] ?? { inputs: {} }
    const values = Object.entries(inputs).sort(([one], [other]) => (one < other ? -1 : 1))
    nodes.push([class_type, values.map(([name, value]) => [name, isLink(prompt, value) ? [number(value[0]), value[1]] : value])])
  }
  return JSON.stringify(nodes)
}

function isLink(prompt, value) {
  return Array.isArray(value) && typeof value[0] === "string" && value[0] in prompt
}

async function history(which) {
  const answer = await api.fetchApi(`/history${which}`)
  return answer.ok ? answer.json() : {}
}
