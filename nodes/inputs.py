"""Inputs that several nodes share, described once."""

from comfy_api.latest import io

from ..emerdiff_ops.modulation import PRESETS

PAPER_STRENGTH = 10.0


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
