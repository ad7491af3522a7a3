"""How soon the click widget answers on a large picture: hovering, clicks, the wheel and edges, in both node modes.

The segmentation is drawn and not computed, so no model is needed: regions around random points, with ragged borders and
a few specks. Seconds are from an event to the end of the drawing that it causes, in the page itself.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from statistics import median

import numpy as np
import torch
from emerdiff.emerdiff_ops.files.safetensors_file import save
from emerdiff.nodes.steps.saved import to_file
from emerdiff.nodes.steps.values import Segmentation
from PIL import Image
from scipy import ndimage
from scipy.spatial import KDTree

from comfyui import browser
from comfyui.chromium import find_browser
from comfyui.front_ends import NEWEST, OWN, flags_of
from comfyui.server import HostServer, device_flags
from measure.tables import markdown

SEGMENTS, SIZE = 60, (2000, 3000)
MAKE = """async (zoom) => {
    app.clean()
    const make = (type, x, values) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, 0]
        app.graph.add(node)
        for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name]
        return node
    }
    const image = make("LoadImage", 0, { image: "large.png" })
    const load = make("EmerDiffLoad", 340, { file_name: "large.safetensors" })
    const select = make("EmerDiffSelectSegments", 700, {})
    image.connect(0, select, "image")
    load.connect(0, select, "segmentation")
    select.setSize([560, 900])
    await app.loadGraphData(app.graph.serialize())
    Object.assign(app.canvas.ds, { scale: zoom, offset: [-650, 20] })
    app.canvas.setDirty(true, true)
}"""
MEASURE = """async (rounds) => {
    const canvas = document.querySelector(".emerdiff-stage canvas")
    const node = app.graph.nodes.find((each) => each.type === "EmerDiffSelectSegments")
    const widget = (name) => node.widgets.find((each) => each.name === name)
    const box = canvas.getBoundingClientRect()
    const at = (x, y) => {
        const place = { clientX: box.left + box.width * x, clientY: box.top + box.height * (0.3 + 0.4 * y) }
        return { ...place, bubbles: true, isPrimary: true, pointerId: 1 }
    }
    const send = (kind, Event, init) => canvas.dispatchEvent(new Event(kind, init))
    const timed = (act) => {
        const begin = performance.now()
        act()
        canvas.getContext("2d").getImageData(0, 0, 1, 1) // until it is drawn
        return performance.now() - begin
    }
    const rest = (time) => new Promise((resolve) => setTimeout(resolve, time))
    const noted = async (name, value) => {
        const puts = CanvasRenderingContext2D.prototype.putImageData
        const begin = performance.now()
        const drawn = new Promise((resolve) => {
            CanvasRenderingContext2D.prototype.putImageData = function (...given) {
                puts.apply(this, given)
                if (this.canvas === canvas) resolve(performance.now() - begin)
            }
        })
        widget(name).value = value
        widget(name).callback?.(value)
        const time = await drawn
        CanvasRenderingContext2D.prototype.putImageData = puts
        return time
    }
    const click = (where) => {
        send("pointerdown", PointerEvent, { ...where, buttons: 1 })
        send("pointerup", PointerEvent, where)
    }
    canvas.setPointerCapture = () => {}
    const times = { hover: [], click: [], "click, Ctrl": [], wheel: [], "grow, 5 px": [], "feather, 8 px": [] }
    for (let round = 0; round < rounds; round++) {
        const [x, y] = [(0.5 + round) / rounds, ((round * 7) % rounds) / rounds]
        times.hover.push(timed(() => send("pointermove", PointerEvent, at(x, y))))
        for (const [name, ctrlKey] of [["click", false], ["click, Ctrl", true]]) {
            times[name].push(timed(() => click({ ...at(x, y), ctrlKey })))
            await rest(250)
        }
        click(at(x, y))
        await rest(250)
        times.wheel.push(timed(() => send("wheel", WheelEvent, { ...at(x, y), deltaY: -100 })))
        await rest(250)
        times["grow, 5 px"].push(await noted("grow", 5))
        times["feather, 8 px"].push(await noted("feather", 8))
        for (const name of ["grow", "feather"]) await noted(name, 0)
        await noted("selection", "") // so that the next wheel turns over a pick, too
        await rest(100)
    }
    return { times, size: [canvas.width, canvas.height] }
}"""


def widget(options) -> str:
    """Tables of both node modes on the front ends, the node small and large."""
    return "\n\n".join(
        table(f"{name}, {mode}", measured) for name in (OWN, NEWEST) for mode, measured in answers(name, options.rounds)
    )


def answers(front_end: str, rounds: int) -> Iterator[tuple[str, dict]]:
    found = find_browser()
    assert found, "no Chromium or Chrome is on PATH"
    flags = *device_flags(), *flags_of(front_end)
    with HostServer(flags=flags) as server, browser.chromium(found) as chrome:
        put_files(server, SEGMENTS, *SIZE)
        for mode in ("classic", "vue"):
            browser.set_up(server, **{"Comfy.VueNodes.Enabled": mode == "vue"})
            page = browser.open_page(chrome, server)
            for zoom in (0.85, 1.7):
                page.evaluate(MAKE, zoom)
                browser.run(page)
                page.locator(".emerdiff-stage canvas:not([aria-busy=true])").wait_for()
                page.wait_for_timeout(2000)
                yield mode, page.evaluate(MEASURE, rounds)
            page.context.close()


def table(where: str, measured: dict) -> str:
    lines = [[name, f"{median(times):.0f}", f"{max(times):.0f}"] for name, times in measured["times"].items()]
    width, height = measured["size"]
    head = f"**{where}, drawn at {width} x {height}, {SEGMENTS} segments, picture {SIZE[1]} x {SIZE[0]}**"
    return markdown(head, ["", "ms, median", "most"], lines)


def put_files(server: HostServer, segments: int, height: int, width: int) -> None:
    random = np.random.default_rng(0)
    picture = io.BytesIO()
    colours = ndimage.zoom(random.random((height // 100, width // 100, 3)), (100, 100, 1), order=1)
    Image.fromarray((colours[:height, :width] * 255).astype(np.uint8)).save(picture, "png", compress_level=1)
    server.put_input("large.png", picture.getvalue())
    tree = [(0, gone) for gone in range(1, segments)]
    labels = torch.from_numpy(regions(random, segments, height, width))[None]
    save(server.base / "input" / "large.safetensors", *to_file(Segmentation(labels, segments, tree=(tree,))))


def regions(random: np.random.Generator, segments: int, height: int, width: int) -> np.ndarray:
    """Labels [H, W] int16: of the nearest of random points, the places shaken; and a speck of each elsewhere."""
    places = random.random((segments, 2)) * (height, width)
    y, x = np.mgrid[:height, :width]
    shake = [ndimage.zoom(random.normal(size=(height // 20, width // 20)), 20, order=1) * 30 for _ in range(2)]
    y, x = (axis + moved[:height, :width] for axis, moved in zip((y, x), shake))
    labels = KDTree(places).query(np.stack([y, x], -1))[1].astype(np.int16)
    for number, (row, column) in enumerate(random.random((segments, 2)) * (height - 40, width - 40)):
        labels[int(row) : int(row) + 40, int(column) : int(column) + 40] = number
    return labels
