"""Inputs that several nodes share, described once."""

from comfy_api.latest import io

from ..emerdiff_ops.modulation import PRESETS
from .steps.cluster import GRANULARITY, MOST_SEGMENTS
from .steps.extract import ROBUST
from .steps.modulate import PAPER
from .steps.presets import fault_of
from .steps.score_text import COUNTERS
from .steps.segment import SPECKS
from .wires import FeaturesType, LowResMasksType, TrajectoryType


def model(**options):
    return io.Model.Input(
        "model",
        tooltip="A Stable Diffusion model (SD1.x, SD2.x, SDXL), with any LoRAs. The preset draft and points also take "
        "a transformer: SD3, Flux, Qwen-Image, Z-Image and more. It is not changed.",
        **options,
    )


def knows_words(**options):
    return io.Model.Input(
        "model",
        tooltip="A Stable Diffusion model (SD1.x, SD2.x, SDXL), or a transformer: SD3, Flux.1, Flux.2, Chroma, "
        "Qwen-Image, AuraFlow, LongCat-Image, Hunyuan Image, Z-Image, Lumina 2, Krea 2, HiDream. It is not changed.",
        **options,
    )


def counter_words():
    return io.String.Input(
        "counter_words",
        default=COUNTERS,
        optional=True,
        advanced=True,
        tooltip="For transformers and for goca: other things that may be in the picture. Phrases and counter-words "
        "compete for every place. Name what a phrase is mistaken for; leave out what it means.",
    )


def vae(**options):
    return io.Vae.Input("vae", tooltip="The VAE that belongs to the model.", **options)


def conditioning(**options):
    return io.Conditioning.Input("conditioning", tooltip="Connect CLIPTextEncode with an empty prompt.", **options)


def image(**options):
    return io.Image.Input(
        "image", tooltip="The picture or batch of pictures to segment, of any size from 64 pixels up.", **options
    )


def trajectory(beside: str = "masks"):
    return TrajectoryType.Input("trajectory", tooltip=f"From the same EmerDiff Extract Features as the {beside}.")


def low_res_masks():
    return LowResMasksType.Input("low_res_masks", tooltip="From EmerDiff Cluster Features.")


def segments():
    return io.Int.Input(
        "segments",
        default=20,
        min=0,
        max=MOST_SEGMENTS,
        tooltip="Number of regions in each picture. 10 to 40 suit most pictures. Each one costs time, except with the "
        "preset draft. 0 = as many as the picture has, by granularity.",
    )


def shared_clusters(**options):
    return io.Boolean.Input(
        "shared_clusters",
        default=False,
        tooltip="Cluster all pictures of the batch together, so that a segment number means the same "
        "thing in every picture.",
        **options,
    )


def reference(**options):
    return FeaturesType.Input(
        "reference",
        optional=True,
        tooltip="Features of other pictures, such as a few frames of a video. Their clusters are looked for in these "
        "pictures, so that a segment number means the same thing in every batch.",
        **options,
    )


def every_picture():
    return io.Boolean.Input(
        "every_picture",
        default=False,
        optional=True,
        tooltip="A pick in one picture counts in all pictures. For videos and batches whose segment numbers mean the "
        "same in every picture, by shared_clusters or a reference.",
    )


def grow():
    return io.Int.Input(
        "grow",
        default=0,
        min=-512,
        max=512,
        optional=True,
        tooltip="Grow the mask at its edge by this many pixels. Below 0 it shrinks. A few help inpainting.",
    )


def feather(default: float = 0.0):
    return io.Float.Input(
        "feather",
        default=default,
        min=0.0,
        max=256.0,
        step=0.5,
        round=0.1,
        optional=True,
        tooltip="Width in pixels over which the mask's edge falls from 1 to 0, half of it on each side. 0 = a hard "
        "edge.",
    )


def points_on_segments(name: str, tooltip: str):
    return io.String.Input(name, default="", advanced=True, tooltip=tooltip)  # clicks write it


def boxes_on_segments():
    return io.MultiType.Input(
        "boxes",
        types=[io.BoundingBox, io.Custom("BBOX")],
        optional=True,
        tooltip="Segments that lie mostly in these boxes are added: one, a list, or a list a picture.",
    )


def correction():
    return io.String.Input(
        "correction",
        default="",
        optional=True,
        advanced=True,  # the mask editor writes it
        tooltip="What brush writes: a picture of the input folder. Where it is opaque, its brightness is the mask.",
    )


def edge():
    """grow, feather, fill_holes."""
    holes = io.Boolean.Input("fill_holes", default=False, optional=True, tooltip="Holes in the mask become part of it.")
    return grow(), feather(), holes


def share_of_picture(name: str, default: float, tooltip: str, **options):
    """A fraction of the picture's pixels, at most half."""
    limits = {"min": 0.0, "max": 0.5, "step": 0.001, "round": 0.0001} | options
    return io.Float.Input(name, default=default, tooltip=tooltip, **limits)


def specks():
    words = (
        "Connected parts smaller than this fraction of the picture go to their neighbours, and holes of that size are "
        "filled. 0 = every speck stays, as in the paper."
    )
    return share_of_picture("specks", SPECKS, words, max=0.1, step=0.0001, optional=True, advanced=True)


def granularity():
    return io.Float.Input(
        "granularity",
        default=GRANULARITY,
        min=0.05,
        max=1.5,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip="With 0 segments: how easily a region is split. Lower: few, large regions. Higher: many.",
    )


def seed(what: str):
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 1, control_after_generate=io.ControlAfterGenerate.fixed, tooltip=what
    )


def preset(draft_is_for: str = "to click in, and for transformers (Flux, Z-Image, ...)"):
    return io.Combo.Input(
        "preset",
        options=list(PRESETS),
        default="fast",
        tooltip='How the masks get their pixels. "draft": the coarse masks along the picture\'s borders, 1% of the '
        f'cost of paper: {draft_is_for}. "fast": 2 steps, no decoder, 10%. "balanced": 4 steps, 30%. "paper": the '
        "published method, 15 steps. Fast and balanced also weigh in the coarse masks. They were tuned on two small "
        "models, and are not yet confirmed on Stable Diffusion's.",
    )


class PresetNode(io.ComfyNode):
    """A node with a preset. It checks the preset itself: the host would refuse one that only old workflows name."""

    @classmethod
    def validate_inputs(cls, preset=None):
        """True, or a sentence for the host. Nodes that take lists get a list; a linked input is None here."""
        given = preset if cls.INPUT_IS_LIST else [preset]
        return next((fault for each in given if each is not None and (fault := fault_of(each))), True)


def smoothing():
    return io.Float.Input(
        "smoothing",
        default=1.0,
        min=0.0,
        max=32.0,
        step=0.25,
        tooltip="Gaussian sigma against speckle, in pixels of the working size. 0 = none.",
    )


def make_masks():
    return io.Boolean.Input(
        "make_masks",
        default=True,
        optional=True,
        advanced=True,
        tooltip="Off: masks is one empty mask. Saves memory on long batches (7 GB for 100 pictures of 1280 x 720 with "
        "20 segments). Pick from the segmentation instead.",
    )


def strength():
    return io.Float.Input(
        "strength",
        default=PAPER.strength,
        min=0.01,
        max=1000.0,
        step=0.5,
        advanced=True,
        tooltip="How hard the UNet is pushed. Too little: ragged masks with specks. Too much: they spill over the "
        "borders of things. relative_strength sets its unit. The preset paper takes it as the paper's lambda.",
    )


def relative_strength():
    return io.Boolean.Input(
        "relative_strength",
        default=True,
        optional=True,
        advanced=True,
        tooltip="On: strength counts in tens of the pushed layer's output, so that 10 suits models of any scale. Off: "
        "strength is lambda itself. The preset paper always takes it as lambda.",
    )


def resolution():
    return io.Int.Input(
        "resolution",
        default=0,
        min=0,
        max=8192,
        step=8,
        advanced=True,
        tooltip="Shorter side, in pixels, at which the model sees the picture. 0 = the model's own (512 for SD1.x, "
        "1024 for SDXL and most transformers). Larger finds smaller things.",
    )


def reading():
    """surroundings, mirrored, dense, enlarge, attention: ways of reading that the paper does not have."""
    return (
        io.Float.Input(
            "surroundings",
            default=ROBUST.surroundings,
            min=0.0,
            max=0.5,
            step=0.05,
            optional=True,
            advanced=True,
            tooltip="Pad the picture by mirroring this share of its shorter side outwards before it is read. Segments "
            "then follow things, not the picture's borders. 0 = as in the paper.",
        ),
        io.Boolean.Input(
            "mirrored",
            default=ROBUST.mirrored,
            optional=True,
            advanced=True,
            tooltip="Read the picture mirrored left to right too, and take the mean. One more evaluation. Off in the "
            "paper.",
        ),
        io.Boolean.Input(
            "dense",
            default=ROBUST.dense,
            optional=True,
            advanced=True,
            tooltip="Read at half cells too: features twice as fine, four times the evaluations. Off in the paper.",
        ),
        io.Boolean.Input(
            "enlarge",
            default=ROBUST.enlarge,
            optional=True,
            advanced=True,
            tooltip="Enlarge a picture that is smaller than the model's own size, or than resolution, before it is "
            "read. Masks still have the picture's size. Off in the paper.",
        ),
        io.Boolean.Input(
            "attention",
            default=ROBUST.attention,
            optional=True,
            advanced=True,
            tooltip="Also read the picture's self-attention. EmerDiff Pick by Points then finds things of every size "
            "under a point. One more evaluation, and 2 MB (1024 tokens) to 34 MB (4096) a picture.",
        ),
    )
