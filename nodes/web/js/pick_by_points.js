// EmerDiff Pick by Points: a picture to point in. Before any run it is the picture of the Load Image that feeds the node,
// afterwards the node's result. The only state is the node's texts; without this file the node works by them.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { Picker } from "./picker.js"
import { POSITIVE } from "./picks.js"
import { BOXES, LEVEL, PointPicks } from "./point_picks.js"
import { addToNode } from "./select_segments.js"
import { say } from "./texts.js"

const NODE = "EmerDiffPickByPoints"
const LOADERS = ["LoadImage"]
const NOTHING = []

app.registerExtension({
  name: "emerdiff.PickByPoints",
  nodeCreated(node) {
    if (node.constructor.comfyClass === NODE) addToNode(node, new PointPicker(node))
  },
})

class PointPicker extends Picker {
  constructor(node) {
    super(node, PointPicks, POSITIVE)
  }

  makeTools() {
    return [this.tool(say("clear"), say("no_points"), () => this.picks.clear())]
  }

  get keysText() {
    return [say("point_keys"), say("point_keys_in_full")]
  }

  get watched() {
    return [BOXES, LEVEL]
  }

  /** Does nothing: there are no segments to walk to. */
  walk() {}

  /** A plain click sets a point here. */
  left(event) {
    this.point(event)
  }

  /** One entry a picture: the result's levels, or the loaded picture where that is newer. */
  sentEntries() {
    const [result, loaded] = [this.result()?.emerdiff_levels, this.loaded()]
    if (result === this.lastResult && loaded === this.lastLoaded) return this.sent ?? NOTHING
    const newer = result !== this.lastResult && result ? result.map(PointPicks.entryOf) : null
    this.lastResult = result
    this.lastLoaded = loaded
    if (newer) return newer
    if (!loaded) return NOTHING
    return [{ picture: JSON.parse(loaded) }]
  }

  /** The file of the Load Image that feeds this node directly, as text; null where another node does. */
  loaded() {
    const slot = this.node.inputs?.findIndex((input) => input.name === "image") ?? -1
    const from = slot >= 0 ? window.LiteGraph.LGraphNode.prototype.getInputNode.call(this.node, slot) : null
    if (!LOADERS.includes(from?.constructor.comfyClass)) return null
    const [, path, type] = String(from.widgets?.[0]?.value ?? "").match(/^(.*?)(?: \[(\w+)\])?$/)
    const [filename, ...folders] = path.split("/").reverse()
    return filename && JSON.stringify({ filename, subfolder: folders.reverse().join("/"), type: type ?? "input" })
  }

  async loadMap(entry) {
    if (entry.labels) return super.loadMap(entry)
    const answer = await fetch(api.apiURL(`/view?${new URLSearchParams(entry.picture)}`))
    if (!answer.ok) throw new Error(answer.status)
    const picture = await createImageBitmap(await answer.blob())
    const { width, height } = picture
    Object.assign(entry, { width, height, colors: [], areas: [] })
    return { picture, width, height, labels: null }
  }

  get firstHint() {
    return say("connect")
  }

  summary() {
    const { count, level, entry } = this.picks
    if (this.refused || !count) return this.refused ?? say("point_nothing")
    if (level === null) return say("pointed", { count })
    return say("pointed_level", { count, level: level + 1, levels: entry.count })
  }
}
