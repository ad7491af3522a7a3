"""Models, VAEs and conditionings that EmerDiff cannot work with: each refused with a sentence that names the fix."""

import checkpoints
import comfy.ldm.audio.embedders
import comfy.model_patcher
import comfy.sd
import comfy.supported_models as supported
import pytest
import torch
from comfy.taesd.taesd import TAESD
from comfy_extras.nodes_model_advanced import ModelSamplingSD3
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.lift import lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source

AUDIO = ("seconds_start", "seconds_total")
VIDEO_UNET = {
    **checkpoints.SD2,
    "in_channels": 8,
    "adm_in_channels": 768,
    "num_classes": "sequential",
    "extra_ff_mix_layer": True,
    "use_spatial_context": True,
    "merge_strategy": "learned_with_images",
    "merge_factor": 0.0,
    "video_kernel_size": [3, 1, 1],
    "use_temporal_resblock": True,
    "use_temporal_attention": True,
}
WITHOUT_TEXT = {"transformer_depth": [0] * 8, "transformer_depth_output": [0] * 12, "transformer_depth_middle": -1}
# Every one is the host's own class, a few layers deep, its weights never made.
OTHER_NETWORKS = {
    "Stable Cascade": (supported.Stable_Cascade_C, {"stable_cascade_stage": "c", "blocks": [[1, 1], [1, 1]]}),
    "Stable Audio": (supported.StableAudio, {"depth": 1}),
    "UNet without text": (supported.SD15, {**checkpoints.SD1, **WITHOUT_TEXT}),
    "Stable Video Diffusion": (supported.SVD_img2vid, VIDEO_UNET),
    "Zero123": (supported.Stable_Zero123, {**checkpoints.SD1, "in_channels": 8}),
    "x4 upscaler": (supported.SD_X4Upscaler, {**checkpoints.SD2, "model_channels": 256, "in_channels": 7}),
}  # fmt: skip


def weightless(kind, settings: dict):
    """MODEL of the host's class on the meta device."""
    config = kind(settings)
    config.set_inference_dtype(torch.float32, None)
    state = {"cc_projection.weight": torch.zeros(768, 772), "cc_projection.bias": torch.zeros(768)}
    for name in AUDIO if kind is supported.StableAudio else ():
        numbers = comfy.ldm.audio.embedders.NumberConditioner(768, min_val=0, max_val=512).state_dict()
        state |= {f"conditioner.conditioners.{name}.{key}": value for key, value in numbers.items()}
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(config.get_model(state, "", device=torch.device("meta")), cpu, cpu)


@pytest.mark.parametrize("name", OTHER_NETWORKS)
def test_other_networks_are_refused(sd1, photo, name):
    with pytest.raises(ValueError, match=r"needs a UNet with cross-attention.*or a transformer.*Load one of th"):
        extract_features(sd1._replace(model=weightless(*OTHER_NETWORKS[name])), photo)


LOTUS = {**checkpoints.SD2, "adm_in_channels": 4, "num_classes": "sequential"}  # no noise: the picture itself goes in
MISSING_OR_ODD = {
    "no model": (lambda sd1: {"model": None}, "load a Stable Diffusion checkpoint"),
    "Lotus": (
        lambda sd1: {"model": weightless(supported.LotusD, LOTUS)},
        "a model that removes noise.*Load an ordinary checkpoint",
    ),
    "flow matching on a UNet": (  # what it mixes noise in by is not what the method's steps assume
        lambda sd1: {"model": ModelSamplingSD3().patch(sd1.model, shift=3.0)[0]},
        "samples by .*CONST.* connect the model from before a ModelSampling node",
    ),
    "no VAE": (lambda sd1: {"vae": None}, "load the one that belongs to the model with Load VAE"),
    "no conditioning": (lambda sd1: {"conditioning": None}, "connect CLIPTextEncode"),
    "an empty conditioning": (lambda sd1: {"conditioning": []}, "connect CLIPTextEncode"),
    "SD2's text": (lambda sd1: {"conditioning": text(1024)}, "1024 numbers wide.*CLIP of the same model"),
    "SDXL's text": (lambda sd1: {"conditioning": text(2048)}, "2048 numbers wide.*CLIP of the same model"),
}


def text(width: int) -> list:
    return [[torch.zeros(1, 77, width), {"pooled_output": torch.zeros(1, 1280)}]]


@pytest.mark.parametrize("name", MISSING_OR_ODD)
def test_what_is_missing_or_odd_is_refused(sd1, photo, name):
    changes, message = MISSING_OR_ODD[name]
    source = sd1._replace(**changes(sd1))
    for run in (lambda: extract_features(source, photo), lambda: lift_mask(source, photo, photo[..., 0], Push("fast"))):
        with pytest.raises(ValueError, match=message):
            run()


# What makes the host's VAE class take a file for this kind of autoencoder; the other weights stay as they are drawn.
OTHER_VAES = {
    "Flux, SD3": lambda: TAESD(latent_channels=16).state_dict(),
    "Stable Cascade, stage A": lambda: {"vquantizer.codebook.weight": torch.zeros(8192, 4)},
    "Stable Cascade, stage C": lambda: {"backbone.1.0.block.0.1.num_batches_tracked": torch.zeros(1)},
    "video": lambda: {
        "decoder.middle.0.residual.0.gamma": torch.zeros(32, 1, 1, 1),
        "decoder.head.0.gamma": torch.zeros(8, 1, 1, 1),
        "encoder.conv1.weight": torch.zeros(8, 3, 3, 3, 3),
        "decoder.head.2.weight": torch.zeros(3, 8, 3, 3, 3),
    },
    "x4 upscaler": lambda: {"decoder.conv_in.weight": torch.zeros(512, 4, 3, 3)},
    "pixels": lambda: {"pixel_space_vae": torch.tensor(1.0)},
}


@pytest.mark.parametrize("name", OTHER_VAES)
def test_other_vaes_are_refused(sd1, photo, name):
    with pytest.raises(ValueError, match="connect MODEL and VAE of the same checkpoint"):
        extract_features(sd1._replace(vae=comfy.sd.VAE(sd=OTHER_VAES[name]())), photo)


def test_the_empty_vae_of_a_checkpoint_without_one_is_refused(sd1, photo):
    """In the host's own words: it gives an object that raises when it is used."""
    empty = sd1._replace(vae=comfy.sd.VAE(sd={}))
    features, trajectory = extract_features(sd1, photo)
    for run in (
        lambda: extract_features(empty, photo),
        lambda: modulate_attention(empty, trajectory, cluster_features(features, segments=2)),
    ):
        with pytest.raises((ValueError, RuntimeError), match="VAE"):
            run()


def test_sdxl_without_pooled_text_is_refused(photo):
    model, vae = checkpoints.load({**checkpoints.VEGA})
    with pytest.raises(ValueError, match="pooled.*CLIPTextEncode"):
        extract_features(Source(model, vae, [[torch.zeros(1, 77, 2048), {}]]), photo)
