// The picker's brush: its buttons, the mask editor, and the correction of the page shown.

import { hasMaskEditor, openMaskEditor, readCorrection, writeCorrection } from "./brush.js"
import { button } from "./parts.js"
import { say } from "./texts.js"

export class BrushTools {
  constructor(picker) {
    this.picker = picker
    this.file = null // of the correction shown
  }

  /** The buttons to correct and to remove the correction; none where the front end has no mask editor. */
  buttons() {
    if (!hasMaskEditor()) return []
    const { picker } = this
    const open = button(say("brush"), say("brush_in_full"), () => this.open().catch((error) => this.fail(error.message)))
    this.away = picker.tool(say("unbrush"), say("unbrush_in_full"), () => picker.picks.correct(null))
    return [open, this.away]
  }

  show() {
    if (this.away) this.away.hidden ||= !this.picker.picks.brushed
  }

  reset() {
    this.file = this.picker.picks.correction = null
  }

  /** Loads the correction if its file is not the one shown; it is drawn once it has come. */
  async look() {
    const { picks } = this.picker
    const file = picks.map && picks.brushed
    if (file === this.file) return
    this.file = file
    const correction = file && (await readCorrection(file).catch(() => null)) // the node says what is wrong with it
    if (file !== this.file) return
    picks.correction = correction
    this.picker.seen = null
  }

  /** Opens the mask editor on the picture and its mask; the saved mask becomes the correction. */
  async open() {
    const { picks, stage } = this.picker
    const { entry, correction } = picks
    const mask = stage.finished()
    await openMaskEditor(entry.picture, mask, (opened, reading) =>
      this.save(entry, correction, mask, opened, reading).catch((error) => this.fail(error.message)),
    )
  }

  async save(entry, before, { width, height }, opened, reading) {
    const { picks } = this.picker
    const saved = await reading
    if (!saved) return this.fail(say("turned"))
    const fits = before?.width === width && before.height === height
    const file = await writeCorrection(fits ? before : null, opened, saved, width, height)
    if (file && entry === picks.entry) this.picker.change(() => picks.correct(file))
  }

  fail(error) {
    this.picker.refused = say("brush_failed", { error })
    this.picker.show()
  }
}
