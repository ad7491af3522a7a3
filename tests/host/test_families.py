"""Every family of UNets that ComfyUI loads from a checkpoint: its layers, and the whole way from picture to masks.

What is shared gives what every variant alone would give, by the plain procedure.
"""

import gc
from typing import NamedTuple

import checkpoints
import comfy.model_management
import folder_paths
import pytest
import torch
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from comparing import error, plain, prepare, scene_picture
from emerdiff.emerdiff_ops.grid import masks_on_grid
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.nodes.host import latents, unet
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source

import nodes
from reference.sd1_checkpoint import SD1_UNET

V_PREDICTION = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"  # told by its spread
SIZE = slice(64), slice(96)  # of a picture; the coarsest grid has 2 x 3 cells
SHORT_SDXL = {  # what makes the host recognise SDXL, with fewer transformers after it
    **checkpoints.SDXL,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1],
    "transformer_depth_middle": -1,
}


class Family(NamedTuple):
    layout: dict
    kind: str  # the host's class for it
    prediction: str  # the host's name for what the UNet predicts
    resolution: int
    features: str  # the layer that "auto" reads
    modulation: str  # the layer that "auto" pushes
    tensors: dict = {}  # what else the checkpoint has
    text: dict = {}  # what the conditioning has besides the text


def spread(width: int) -> dict:
    return {V_PREDICTION: torch.tensor([0.2, -0.2]).repeat(width // 2)}


def mark(**tensors) -> dict:
    return {name.replace("__", "."): torch.tensor(value) for name, value in tensors.items()}


POOLED = {"pooled_output": torch.linspace(-1, 1, 1280)[None]}
SIZES = {"width": 1024, "height": 768, "crop_w": 0, "crop_h": 0, "target_width": 1024, "target_height": 768}
SD1 = Family(checkpoints.SD1, "BaseModel", "EPS", 512, "output 3.0", "output 5.0")
SD2 = SD1._replace(layout=checkpoints.SD2)
SDXL = Family(checkpoints.SDXL, "SDXL", "EPS", 1024, "output 0.0", "output 2.9", text=POOLED)
SHORT = SDXL._replace(layout=SHORT_SDXL, modulation="output 2.0")
FAMILIES = {
    "SD1.x": SD1,
    "SD1.5 inpainting": SD1._replace(layout={**SD1.layout, "in_channels": 9}),
    "SD1.5 instruct-pix2pix": SD1._replace(layout={**SD1.layout, "in_channels": 8}, kind="SD15_instructpix2pix"),
    "SD2.x, 512": SD2,
    "SD2.x v-prediction, 768": SD2._replace(prediction="V_PREDICTION", resolution=768, tensors=spread(320)),
    "SD2.x inpainting": SD2._replace(layout={**SD2.layout, "in_channels": 9}),
    "SD2.1 unCLIP": SD2._replace(
        layout={**SD2.layout, "adm_in_channels": 2048, "num_classes": "sequential"},
        kind="SD21UNCLIP",
        prediction="V_PREDICTION",
        resolution=768,
        tensors=spread(320),
    ),
    "SDXL": SDXL,
    "SDXL with sizes": SHORT._replace(text={**POOLED, **SIZES}),
    "SDXL inpainting": SHORT._replace(layout={**SHORT_SDXL, "in_channels": 9}),
    "SDXL instruct-pix2pix": SHORT._replace(layout={**SHORT_SDXL, "in_channels": 8}, kind="SDXL_instructpix2pix"),
    "SDXL v-prediction, zero terminal SNR": SHORT._replace(
        prediction="V_PREDICTION", tensors=mark(v_pred=1.0, ztsnr=1.0)
    ),
    "CosXL": SHORT._replace(
        prediction="V_PREDICTION_EDM", tensors=mark(edm_vpred__sigma_max=120.0, edm_vpred__sigma_min=0.002)
    ),
    "Playground 2.5": SHORT._replace(prediction="EDM", tensors=mark(edm_mean=[0.0] * 4, edm_std=[1.0] * 4)),
    "SDXL refiner": SDXL._replace(
        layout=checkpoints.REFINER, kind="SDXLRefiner", features="output 3.0", modulation="output 5.3"
    ),
    "SSD-1B": SDXL._replace(layout=checkpoints.SSD_1B),
    "Segmind Vega": SDXL._replace(layout=checkpoints.VEGA, modulation="output 2.1"),
    "KOALA 700M": SDXL._replace(layout=checkpoints.KOALA_700M, modulation="output 1.4"),
    "KOALA 1B": SDXL._replace(layout=checkpoints.KOALA_1B, modulation="output 1.5"),
}


# On the oldest host too: one of each UNet's form and of each kind of noise levels.
FORMS = {"SD1.x", "SD1.5 inpainting", "SD2.1 unCLIP", "SDXL", "CosXL", "Playground 2.5", "SDXL refiner", "KOALA 700M"}
COMPARED = FORMS | {"SD1.5 instruct-pix2pix", "SDXL with sizes"}
NOISES = {"SD1.x", "SD2.1 unCLIP", "CosXL", "Playground 2.5"}  # the others have one of these kinds of levels
ONE, TWO = Push(timestep=1), Push(timestep=21)  # evaluations


def text(width: int, /, **entries) -> list:
    return [[torch.randn(1, 77, width, generator=torch.Generator().manual_seed(5)), entries]]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.once] * (name not in FORMS)) for name in FAMILIES]
)
def test_family(name, photo):
    """Recognised by the host, its layers found, its masks whole, and one of each form as by the plain procedure."""
    family = FAMILIES[name]
    model, vae = checkpoints.load(family.layout, family.tensors)
    assert (type(model.model).__name__, model.model.model_type.name) == (family.kind, family.prediction)
    assert latents.own_resolution(model, vae) == family.resolution
    layers = [str(unet.find_layer(model, "auto", last)) for last in (False, True)]
    assert layers == [family.features, family.modulation]
    source = Source(model, vae, text(family.layout["context_dim"], **family.text))
    check_pipeline(source, photo, TWO if name in NOISES else ONE, name in COMPARED)
    comfy.model_management.unload_all_models()
    gc.collect()


@pytest.mark.once
@pytest.mark.parametrize(
    "push",
    [Push(timestep=41), *(Push(strength=5.0, timestep=1, layer=each) for each in ("input 3", "middle 0", "output 7"))],
)
def test_several_levels_and_every_kind_of_layer(sd1, photo, push):
    """The shared prefix ends wherever the chosen layer is."""
    check_pipeline(sd1, photo, push)


@pytest.mark.once
def test_weights_that_mean_something(small):
    check_pipeline(small, scene_picture(), Push(strength=30.0, timestep=41))


def test_inpainting_with_a_masked_picture_in_the_conditioning(photo):
    """As InpaintModelConditioning makes it: the host puts mask and masked latent beside every row's own."""
    model, vae = checkpoints.load({**SD1_UNET, "in_channels": 9})
    latent, mask = vae.encode(photo[:, *SIZE]), torch.zeros(1, 1, 64, 96)
    mask[..., 32:, 32:] = 1
    check_pipeline(Source(model, vae, text(768, concat_latent_image=latent, concat_mask=mask)), photo, ONE)


@pytest.mark.parametrize(
    "sampling, zsnr", [("v_prediction", True), ("eps", True), ("lcm", False), ("x0", False)], ids=str
)
def test_sampling_set_by_a_node(sd1, photo, sampling, zsnr):
    """ModelSamplingDiscrete, as zero terminal SNR, LCM and Turbo models are used with."""
    (patched,) = ModelSamplingDiscrete().patch(sd1.model, sampling, zsnr)
    check_pipeline(sd1._replace(model=patched), photo, TWO)


def test_levels_of_equal_noise_are_taken_once(sd1, photo):
    """LCM knows 50 noise levels: of a trajectory's 100 steps the last two are one, and no noise leads between them."""
    (patched,) = ModelSamplingDiscrete().patch(sd1.model, "lcm", False)
    source = sd1._replace(model=patched)
    _, trajectory, masks = prepare(source, photo[:, *SIZE], 2, steps=100)
    maps = modulate_attention(source, trajectory, masks, Push(timestep=21)).difference
    assert torch.isfinite(maps).all(), "no step between them may divide by nothing"
    assert maps.max() > 1e-3


def test_loaded_by_the_checkpoint_node(sd1_checkpoint, photo, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "checkpoints", ([sd1_checkpoint.parent], {".safetensors"}))
    model, _, vae = nodes.CheckpointLoaderSimple().load_checkpoint(sd1_checkpoint.name)
    check_pipeline(Source(model, vae, text(768)), photo, ONE)


def check_pipeline(source, photo, push, compared=True):
    """Masks that cover the picture, and maps equal to the plain procedure's."""
    photo, segments = photo[:, *SIZE], 2
    _, trajectory, low_res = prepare(source, photo, segments, seed=7)
    ours = modulate_attention(source, trajectory, low_res, push)
    masks = one_hot(assemble_masks(ours).labels, segments).flatten(0, 1)
    assert masks.shape == (segments, *photo.shape[1:3]) and masks.dtype == torch.float32
    assert torch.equal(masks.sum(0), torch.ones(photo.shape[1:3]))
    if not compared:
        assert ours.difference.isfinite().all() and ours.difference.max() > 1e-3
        return
    layer = unet.find_layer(source.model, push.layer, last=True)
    masks = masks_on_grid(low_res.masks, unet.grid_of(source.model, layer, trajectory.latent.shape[-2:]))[0]
    reference = plain(source, trajectory, masks, push.timestep, push.strength, layer)
    largest = error(ours.difference[0], reference)
    agreement = (ours.difference[0].argmax(0) == reference.argmax(0)).float().mean().item()
    print(f"largest error {largest:.1e} of {reference.max():.2g}, labels agree on {agreement:.3%}")
    assert largest < 1e-3
    assert agreement >= 0.999
