"""Inputs that several nodes share, described once."""

from comfy_api.latest import io

from ..emerdiff_ops.modulation import PRESETS
from .steps.modulate import PAPER
from .wires import LowResMasksType, TrajectoryType


def model(**options):
    return io.Model.Input(
        "model", tooltip="A Stable Diffusion model (SD1.x, SD2.x, SDXL), LoRAs and all. It is not changed.", **options
    )


def vae(**options):
    return io.Vae.Input("vae", tooltip="The VAE of the same checkpoint as the model.", **options)


def conditioning(**options):
    return io.Conditioning.Input("conditioning", tooltip="Connect CLIPTextEncode with an empty prompt.", **options)


def image(**options):
    return io.Image.Input(
        "image", tooltip="The picture or batch of pictures to segment, of any size from 64 pixels up.", **options
    )


def trajectory():
    return TrajectoryType.Input("trajectory", tooltip="From the same EmerDiff Extract Features as the masks.")


def low_res_masks():
    return LowResMasksType.Input("low_res_masks", tooltip="From EmerDiff Cluster Features.")


def segments():
    return io.Int.Input(
        "segments",
        default=20,
        min=1,
        max=256,
        tooltip="How many regions each picture is divided into. 10 to 40 suit most pictures; every one costs "
        "UNet evaluations.",
    )


def seed(what: str):
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 1, control_after_generate=io.ControlAfterGenerate.fixed, tooltip=what
    )


def preset():
    return io.Combo.Input(
        "preset",
        options=list(PRESETS),
        default="balanced",
        tooltip='How the masks are lifted to pixels. "paper": the published method, 15 steps. "balanced": as good in 4 '
        'steps, at 29% of the cost. "fast": 2 steps and no decoder, 9%. "thorough": the paper\'s steps, better masks. '
        "All but paper were tuned on a small model and are not yet confirmed on Stable Diffusion's weights.",
    )


def smoothing():
    return io.Float.Input(
        "smoothing",
        default=1.0,
        min=0.0,
        max=32.0,
        step=0.25,
        tooltip="Gaussian sigma, in pixels of the working size, against speckle; 0 = none.",
    )


def make_masks():
    return io.Boolean.Input(
        "make_masks",
        default=True,
        optional=True,
        advanced=True,
        tooltip="Off: one empty mask instead of one for each segment of each picture. Saves memory on long batches "
        "(7 GB for 100 pictures of 1280 x 720 with 20 segments); pick from the segmentation instead.",
    )


def strength():
    return io.Float.Input(
        "strength",
        default=PAPER.strength,
        min=0.01,
        max=1000.0,
        step=0.5,
        advanced=True,
        tooltip="lambda: how hard the UNet is pushed. The paper's 10 suits SD1.x; too much spills over.",
    )


def resolution():
    return io.Int.Input(
        "resolution",
        default=0,
        min=0,
        max=8192,
        step=8,
        advanced=True,
        tooltip="Shorter side, in pixels, at which the model sees the picture; 0 = the model's own (512 "
        "for SD1.x, 1024 for SDXL), never above the picture's own. Larger finds smaller things.",
    )
