// Corrects the mask by brush, in ComfyUI's own mask editor, on a node that is in no graph. The saved mask is compared with the
// opened one. Only the changes are kept, as a picture of the input folder.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"

const COMMAND = "Comfy.MaskEditor.OpenMaskEditor"
const FOLDER = "emerdiff"
const CHANGED = 4 // of 255: a brush changes at least so much

/** Whether this front end has a mask editor that can be opened on a node. */
export function hasMaskEditor() {
  const commands = app.extensionManager?.command?.commands ?? []
  return Boolean(window.LiteGraph.LGraphNode) && [...commands].some(({ id }) => id === COMMAND)
}

/** Opens the editor with a picture, a file of the server, and a mask {alpha in 0..1, width, height}. On each save, `save` gets
 *  the opened mask, in 0..255, and a promise of the saved one. Closing the editor without saving calls nothing. */
export async function openMaskEditor(picture, { alpha, width, height }, save) {
  const opened = Uint8Array.from(alpha, (value) => Math.round(255 * value))
  const covered = (at) => [0, 0, 0, 255 - opened[at]]
  const layers = await upload("mask", await drawn(covered, width, height), { type: "temp", original_ref: JSON.stringify(picture) })
  const node = standIn(layers, (file) => save(opened, readMask(file, width, height)))
  await selectedAlone(node, () => app.extensionManager.command.execute(COMMAND))
}

/** A node with a picture that only the editor knows; `saved` gets the file that the editor writes. */
function standIn(picture, saved) {
  const node = new window.LiteGraph.LGraphNode("")
  const graph = { isRootGraph: true, rootGraph: {}, setDirtyCanvas() {} } // what the editor asks for
  const image = Object.defineProperty({ name: "image" }, "value", { get: () => "", set: saved })
  const own = { graph, images: [picture], previewMediaType: "image", widgets: [image] }
  for (const [name, value] of Object.entries(own)) Object.defineProperty(node, name, { value, writable: true }) // no setters
  return node
}

/** Runs `act` with only this node selected, for the editor's command. The selection is the canvas's property or its class's. */
async function selectedAlone(node, act) {
  const { canvas } = app
  const alone = { selected_nodes: { [node.id]: node }, selectedItems: new Set([node]) }
  const own = Object.keys(alone).map((name) => [name, Object.getOwnPropertyDescriptor(canvas, name)])
  for (const [name] of own) Object.defineProperty(canvas, name, { configurable: true, get: () => alone[name] })
  try {
    await act()
  } finally {
    for (const [name, before] of own) before ? Object.defineProperty(canvas, name, before) : delete canvas[name]
  }
}

/** The mask that the editor saved as "name.png [input]"; transparent pixels are in. Null where the picture was turned there. */
async function readMask(saved, width, height) {
  const [, filename, type] = /^(.*?)(?: \[(\w+)\])?$/.exec(saved)
  const pixels = await readPixels({ filename, subfolder: "", type: type ?? "input" })
  if (pixels.width !== width || pixels.height !== height) return null
  return Uint8Array.from({ length: width * height }, (_, at) => 255 - pixels.data[4 * at + 3])
}

async function readPixels(file) {
  const answer = await api.fetchApi(`/view?${new URLSearchParams(file)}`)
  if (!answer.ok) throw new Error(answer.status)
  const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" })
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true })
  context.drawImage(bitmap, 0, 0)
  return context.getImageData(0, 0, bitmap.width, bitmap.height)
}

/** A correction {values, covered, width, height}: `values` are the mask in 0..255, valid where covered. */
export async function readCorrection(path) {
  const [filename, ...folders] = path.split("/").reverse()
  const { data, width, height } = await readPixels({ filename, subfolder: folders.reverse().join("/"), type: "input" })
  const [values, covered] = [0, 3].map((channel) => Uint8Array.from({ length: width * height }, (_, at) => data[4 * at + channel]))
  return { values, covered, width, height }
}

/** The path of a new correction: what `before` covered, and where `saved` differs from `opened`; null without changes. */
export async function writeCorrection(before, opened, saved, width, height) {
  const changed = opened.map((value, at) => Math.abs(saved[at] - value) >= CHANGED)
  if (!changed.some(Boolean)) return null
  const pixelAt = (at) => {
    if (changed[at]) return [saved[at], saved[at], saved[at], 255]
    return before ? [before.values[at], before.values[at], before.values[at], before.covered[at]] : [0, 0, 0, 0]
  }
  const { filename, subfolder } = await upload("image", await drawn(pixelAt, width, height), { type: "input" })
  return `${subfolder}/${filename}`
}

/** A mask [0..1] with a correction laid over it, at any size. */
export function corrected(alpha, width, height, correction) {
  const { values, covered, width: wide, height: high } = correction
  const after = Float32Array.from(alpha)
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * high) / height) * wide
    for (let x = 0; x < width; x++, at++) {
      const from = row + Math.floor(((x + 0.5) * wide) / width)
      after[at] += ((values[from] / 255 - alpha[at]) * covered[from]) / 255
    }
  }
  return after
}

function drawn(pixelAt, width, height) {
  const canvas = new OffscreenCanvas(width, height)
  const image = new ImageData(width, height)
  for (let at = 0; at < width * height; at++) image.data.set(pixelAt(at), 4 * at)
  canvas.getContext("2d").putImageData(image, 0, 0)
  return canvas.convertToBlob() // PNG
}

async function upload(kind, blob, fields) {
  const form = new FormData()
  form.append("image", blob, `brush-${Date.now()}.png`)
  for (const [name, value] of Object.entries({ subfolder: FOLDER, ...fields })) form.append(name, value)
  const answer = await api.fetchApi(`/upload/${kind}`, { method: "POST", body: form })
  if (!answer.ok) throw new Error(answer.status)
  const { name, subfolder, type } = await answer.json()
  return { filename: name, subfolder, type }
}
