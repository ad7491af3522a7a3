"""Our masks and boxes through core's own nodes, each to the result that numpy or the picture itself says is right."""

import numpy as np
import pytest
from scipy import ndimage
from server_client import PIXELS, SEGMENTS

from comfyui.workflow import SEGMENT, find

CELL = 4  # pixels of a cell of the small model's latent
ROUNDING = 1  # levels of 255


@pytest.fixture(scope="module")
def masks(client, segmented):
    """[SEGMENTS, H, W] bool, for what is right."""
    return client.masks(segmented[0], segmented[1]) > 0


class Graph:
    """A prompt with the scene and its segments, and short ways to add to it and to see what comes out."""

    def __init__(self, client, picture):
        self.client, self.prompt = client, client.workflow(SEGMENT, picture)
        self.masks = [find(self.prompt, "EmerDiffSegmentImage"), 0]
        self.segmentation = [self.masks[0], 1]
        self.image = [find(self.prompt, "LoadImage"), 0]
        self.model, self.empty, self.vae = ([find(self.prompt, "EmerDiffLabSmallModel"), output] for output in range(3))
        self.shown = {}

    def add(self, class_type, **inputs):
        """A new node's first output."""
        return [self.client.add(self.prompt, class_type, **inputs), 0]

    def show(self, name, image):
        self.shown[name] = self.add("PreviewImage", images=image)[0]

    def show_mask(self, name, mask):
        self.show(name, self.add("MaskToImage", mask=mask))

    def select(self, number):
        return self.add("EmerDiffSelectSegments", segmentation=self.segmentation, selection=str(number))

    def sample(self, name, latent, model=None, positive=None, negative=None):
        """Paint the latent anew from pure noise and show the picture."""
        given = {"model": model or self.model, "latent_image": latent}
        prompts = {"positive": positive or self.empty, "negative": negative or self.empty}
        settings = {"seed": 7, "steps": 8, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
        sampled = self.add("KSampler", **given, **prompts, **settings)
        self.show(name, self.add("VAEDecode", samples=sampled, vae=self.vae))

    def run(self):
        outputs = self.client.run(self.prompt)
        return {name: self.client.pixels(outputs[node]) for name, node in self.shown.items()}


@pytest.fixture
def graph(client, picture):
    return Graph(client, picture)


@pytest.fixture(scope="module")
def chosen(masks):
    """The number of a segment of middling size."""
    return int(np.argsort(masks.sum((1, 2)))[SEGMENTS // 2])


def change(picture) -> np.ndarray:
    return np.abs(picture.astype(int) - PIXELS).max(-1)


def distance_to(mask) -> np.ndarray:
    """Chessboard distance of every pixel to the mask, in pixels."""
    return ndimage.distance_transform_cdt(~mask, "chessboard")


def assert_painted_within(picture, mask, reach):
    """New inside the mask, untouched farther than `reach` pixels from it."""
    changed = change(picture)
    assert changed[distance_to(mask) > reach].max() <= ROUNDING
    assert changed[mask].mean() > 10
    assert (changed[mask] > ROUNDING).mean() > 0.9


@pytest.mark.parametrize("grow", [0, 6])
def test_vae_encode_for_inpaint_greys_the_mask_and_paints_there(graph, masks, chosen, grow):
    latent = graph.add(
        "VAEEncodeForInpaint", pixels=graph.image, vae=graph.vae, mask=graph.select(chosen), grow_mask_by=grow
    )
    graph.show("encoded", graph.add("VAEDecode", samples=latent, vae=graph.vae))
    graph.sample("painted", latent)
    shown = graph.run()
    grey = np.where(masks[chosen][..., None], 127, PIXELS).astype(int)
    np.testing.assert_allclose(shown["encoded"][0].astype(int), grey, atol=ROUNDING)
    assert_painted_within(shown["painted"][0], masks[chosen], CELL + grow // 2)


def test_a_noise_mask_paints_there_alone_and_inpaint_model_conditioning_does_the_same(graph, masks, chosen):
    """A model that was not made for inpainting leaves that node's extra conditioning aside."""
    mask = graph.select(chosen)
    encoded = graph.add("VAEEncode", pixels=graph.image, vae=graph.vae)
    graph.sample("noise mask", graph.add("SetLatentNoiseMask", samples=encoded, mask=mask))
    inputs = {"positive": graph.empty, "negative": graph.empty, "pixels": graph.image, "vae": graph.vae, "mask": mask}
    for name, noise_mask in (("conditioning", True), ("whole", False)):
        node, _ = graph.add("InpaintModelConditioning", noise_mask=noise_mask, **inputs)
        graph.sample(name, [node, 2], positive=[node, 0], negative=[node, 1])
    shown = graph.run()
    assert_painted_within(shown["noise mask"][0], masks[chosen], CELL)
    assert (shown["noise mask"] == shown["conditioning"]).all()
    assert change(shown["whole"][0])[~masks[chosen]].mean() > 10  # without a noise mask all of it is new


def test_differential_diffusion_changes_more_where_the_mask_is_stronger(graph, masks, chosen):
    model = graph.add("DifferentialDiffusion", model=graph.model)
    encoded = graph.add("VAEEncode", pixels=graph.image, vae=graph.vae)
    hard = graph.select(chosen)
    ramp = graph.add("FeatherMask", mask=hard, left=masks.shape[2], top=0, right=0, bottom=0)
    for name, mask in (("hard", hard), ("ramp", ramp)):
        graph.sample(name, graph.add("SetLatentNoiseMask", samples=encoded, mask=mask), model=model)
    shown = graph.run()
    for picture in shown.values():
        assert change(picture[0])[distance_to(masks[chosen]) > CELL].max() <= ROUNDING
    assert_painted_within(shown["hard"][0], masks[chosen], CELL)
    columns = np.flatnonzero(masks[chosen].any(0))
    strengths = np.broadcast_to(np.arange(masks.shape[2]), masks.shape[1:])
    weak = masks[chosen] & (strengths < np.quantile(columns, 0.3))
    strong = masks[chosen] & (strengths > np.quantile(columns, 0.7))
    changed = change(shown["ramp"][0])
    assert changed[strong].mean() > 1.5 * changed[weak].mean()


def slices(mask) -> tuple[slice, slice]:
    return ndimage.find_objects(mask.astype(int))[0]


def test_crop_image_takes_each_box(graph, client, masks):
    """One crop a segment, in the order of the segments, of exactly the size of its box."""
    boxes = graph.add("EmerDiffBoundingBoxes", masks=graph.masks)
    graph.show("crops", graph.add("ImageCropV2", image=graph.image, crop_region=[boxes[0], 1]))
    files = client.run(graph.prompt)[graph.shown["crops"]]["images"]
    crops = [client.pixels({"images": [file]})[0] for file in files]
    wanted = [PIXELS[slices(mask)] for mask in masks if mask.any()]
    assert [crop.shape for crop in crops] == [crop.shape for crop in wanted]
    assert all((crop == right).all() for crop, right in zip(crops, wanted))


def test_crop_by_bboxes_takes_the_boxes_of_a_picture(graph, masks, chosen):
    rows, columns = slices(masks[chosen])
    boxes = graph.add("EmerDiffBoundingBoxes", masks=graph.select(chosen), image=graph.image)
    size = {"output_width": columns.stop - columns.start, "output_height": rows.stop - rows.start, "padding": 0}
    graph.show("crop", graph.add("CropByBBoxes", image=graph.image, bboxes=boxes, **size))
    np.testing.assert_allclose(graph.run()["crop"][0].astype(int), PIXELS[rows, columns], atol=ROUNDING)


def test_draw_bboxes_draws_around_the_mask(graph, client, masks, chosen):
    if "DrawBBoxes" not in client.info:
        pytest.skip("this ComfyUI has no Draw BBoxes")
    boxes = graph.add("EmerDiffBoundingBoxes", masks=graph.select(chosen))
    graph.show("drawn", graph.add("DrawBBoxes", image=graph.image, bboxes=boxes))
    changed = change(graph.run()["drawn"][0]) > ROUNDING
    rows, columns = slices(masks[chosen])
    inner = np.zeros_like(changed)
    inner[rows.start + 3 : rows.stop - 2, columns.start + 3 : columns.stop - 2] = True
    assert changed[rows.start, columns].mean() > 0.9 and not changed[inner].any()
