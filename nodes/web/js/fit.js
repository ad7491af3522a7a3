// Makes a node as low as its picture needs, so that a wide picture leaves no bars. A node gets no higher than it was given, by
// hand or by the workflow, because it would lie over others. The workflow stores the height that the node was given.

const OWN = "own_height" // the property of a node whose height the user has set while a picture was shown
const LEAST = 120 // of the stage
const NEAR = 1 // pixel: front ends round heights

export class Fit {
  constructor(node, stage) {
    Object.assign(this, { node, stage })
    const { onSerialize } = node
    node.onSerialize = (data) => {
      onSerialize?.call(node, data)
      if (this.isAt(data.size[1])) data.size = [data.size[0], this.given]
    }
  }

  /** Whether a height is the one that was set here. */
  isAt(height) {
    return Math.abs(height - this.height) <= NEAR
  }

  /** Looks again, and acts once the front end has laid out what was changed before. */
  look() {
    const { node, stage, before } = this
    const { offsetWidth: width, offsetHeight: height } = stage.canvas
    if (!stage.picks.map || !height || !stage.canvas.closest(".dom-widget, .lg-node")) return
    this.before = node.size[1]
    if (before && !this.setting && !this.isAt(this.before) && isPressed()) node.properties[OWN] = true
    const state = [...node.size, width, height, this.wanted(width)].join()
    const settled = state === this.state
    this.state = state
    if (settled && !node.properties[OWN]) this.act(width, height)
  }

  act(width, height) {
    const { node, state } = this
    const [across, down] = node.size
    if (!this.setting && !this.isAt(down)) this.given = down
    Object.assign(this, { height: down, setting: false }) // as the front end took what was set here
    if (state === this.tried) return
    const fitting = Math.min(this.given, down - height + this.wanted(width))
    if (this.isAt(fitting)) return
    Object.assign(this, { tried: state, height: fitting, setting: true })
    node.setSize([across, fitting])
    node.setDirtyCanvas(true, true)
  }

  /** The height of a stage that the picture fills. */
  wanted(width) {
    const { entry } = this.stage.picks
    return Math.max(LEAST, Math.round((width * entry.height) / entry.width))
  }
}

/** Whether a button of the mouse is down. */
function isPressed() {
  return document.querySelector(":active") !== null
}
