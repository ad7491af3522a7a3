"""What is refused of transformers and with them: each in one sentence that says what is taken or what works instead."""

import comfy.model_base
import comfy.model_patcher
import pytest
import torch
from comfy.text_encoders.qwen_image import QwenImageTokenizer
from comfy_extras.nodes_edit_model import ReferenceLatent
from comfy_extras.nodes_flux import FluxKontextMultiReferenceLatentMethod
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from comfy_extras.nodes_qwen import TextEncodeQwenImageEditPlus
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import Reading, extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source
from transformer_forms import COSMOS, HUNYUAN_IMAGE, QWEN, Z_IMAGE
from transformer_layouts import LAYOUTS, Layout, Words

VIDEO = {**HUNYUAN_IMAGE, "in_channels": 16, "out_channels": 16, "patch_size": [1, 2, 2], "axes_dim": [16, 56, 56]}
OF_COSMOS = ("max_img_h", "max_img_w", "max_frames", "in_channels", "out_channels", "patch_spatial", "patch_temporal",
             "model_channels", "num_heads", "pos_emb_cls")  # fmt: skip
COSMOS_1 = {**{key: COSMOS[key] for key in OF_COSMOS}, "num_blocks": 1, "block_config": "FA-CA-MLP"}
LYRICS = {"lyric_encoder_vocab_size": 8, "lyric_hidden_size": 64, "speaker_embedding_dim": 64, "text_embedding_dim": 64}
# Every one is the host's own class, a few layers deep, its weights never made.
OTHERS = {
    "Wan 2.1": ("WAN21_T2V", {"dim": 256, "num_heads": 2, "num_layers": 1}),
    "LTX Video": ("LTXV", {"num_layers": 1}),
    "Hunyuan Video": ("HunyuanVideo", {**VIDEO, "vec_in_dim": 768}),
    "Hunyuan Video 1.5": ("HunyuanVideo15", VIDEO),
    "Cosmos": ("CosmosT2V", COSMOS_1),
    "ACE-Step": ("ACEStep", {"num_layers": 1, "inner_dim": 128, "num_attention_heads": 1, **LYRICS}),
    "Hunyuan 3D 2": ("Hunyuan3Dv2", {"depth": 1, "depth_single_blocks": 1, "hidden_size": 128, "num_heads": 1}),
    "Hunyuan 3D 2.1": ("Hunyuan3Dv2_1", {"depth": 1, "hidden_size": 128, "num_heads": 1}),
    "OmniGen 2, without a row": ("Omnigen2", {"num_layers": 1, "num_refiner_layers": 1}),
    # Each inherits from a class that is taken.
    "Z-Image on pixels": ("ZImagePixelSpace", {**Z_IMAGE, "patch_size": 32, "in_channels": 3}),
    "Hunyuan Image's refiner": (
        "HunyuanImage21Refiner",
        {**HUNYUAN_IMAGE, "in_channels": 128, "patch_size": [1, 1, 1], "axes_dim": [16, 56, 56]},
    ),
    "Mage-Flow": ("MageFlow", {**QWEN, "in_channels": 128}),
}


def weightless(layout: Layout) -> comfy.model_patcher.ModelPatcher:
    if not layout.known:
        pytest.skip(f"this ComfyUI has no {layout.family}")
    return comfy.model_patcher.ModelPatcher(layout.model("meta"), torch.device("cpu"), torch.device("cpu"))


def source_of(name: str, **changed) -> Source:
    layout = LAYOUTS[name]
    return Source(weightless(layout), layout.vae(), layout.conditioning())._replace(**changed)


@pytest.mark.parametrize("name", OTHERS)
def test_models_of_other_things_and_unknown_ones_are_refused_by_name(sd1, photo, name):
    """Of video, of sound, in three dimensions, on pixels, and what merely inherits from what is taken."""
    family, config = OTHERS[name]
    model = weightless(Layout(family, config, (), 0))
    own = type(model.model).__name__
    with pytest.raises(
        ValueError, match=rf"needs a UNet.*or a transformer for pictures \(.*Z-Image.*Krea 2.*\); this model is {own}\b"
    ):
        extract_features(sd1._replace(model=model), photo)


@pytest.mark.parametrize("name", ["SD3", "Hunyuan-DiT"])
def test_a_later_class_that_inherits_from_a_known_one_is_refused_by_its_name(photo, name):
    source = source_of(name)
    source.model.model.__class__ = type("NewAndImproved", (type(source.model.model),), {})
    with pytest.raises(ValueError, match="this model is NewAndImproved"):
        extract_features(source, photo)


def test_a_network_that_another_pack_has_put_in_the_place_of_the_hosts_is_refused(photo):
    source = source_of("Flux.1 dev")
    source.model.add_object_patch("diffusion_model", torch.nn.Identity())
    with pytest.raises(ValueError, match="this model is Flux.1 inside Identity of another pack"):
        extract_features(source, photo)


@pytest.mark.parametrize("name", LAYOUTS)
def test_texts_of_another_width_and_unknown_blocks_are_refused(photo, name):
    source, width = source_of(name), LAYOUTS[name].width
    with pytest.raises(
        ValueError,
        match=rf"has no (block|layer) .block 99.; use .auto. or .*\b{LAYOUTS[name].blocks[0].split()[0]} 0\b",
    ):
        extract_features(source, photo, reading=Reading(layer="block 99"))
    [[tokens, extras]] = source.conditioning
    other = [[torch.cat([tokens, tokens[..., :8]], -1), extras]]
    with pytest.raises(
        ValueError,
        match=rf"conditioning is {width + 8} numbers wide, this model takes {width}: encode the prompt with the CLIP",
    ):
        extract_features(source._replace(conditioning=other), photo)


NEEDED = {
    "SD3": ("pooled_output", "pooled text"),
    "Flux.1 dev": ("pooled_output", "pooled text"),
    "HiDream-I1": ("conditioning_llama3", "Llama 3"),
    "Hunyuan-DiT": ("conditioning_mt5xl", "mT5"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_conditionings_that_lack_what_the_model_needs_are_refused(photo, name):
    source, (entry, words) = source_of(name), NEEDED[name]
    [[tokens, extras]] = source.conditioning
    without = [[tokens, {key: value for key, value in extras.items() if key != entry}]]
    with pytest.raises(
        ValueError, match=f"conditioning has no .*{words}.*, which this model needs: connect CLIPTextEncode"
    ):
        extract_features(source._replace(conditioning=without), photo)


def with_another_picture(source: Source) -> Source:
    """As the host's nodes put it there."""
    latent = {"samples": torch.zeros(1, source.vae.latent_channels, 8, 8)}
    (conditioning,) = ReferenceLatent.execute(source.conditioning, latent).args
    (conditioning,) = FluxKontextMultiReferenceLatentMethod.execute(conditioning, "index").args
    return source._replace(conditioning=conditioning)


def test_other_pictures_in_the_conditioning_are_refused_where_no_model_edits(photo):
    """Their tokens would be taken for this picture's."""
    for name in ("SD3", "Z-Image", "Chroma"):
        with pytest.raises(ValueError, match="brings other pictures along.*CLIPTextEncode with an empty prompt"):
            extract_features(with_another_picture(source_of(name)), photo)
    hidream = source_of("HiDream-I1")
    hidream.conditioning[0][1]["concat_latent_image"] = torch.zeros(1, 16, 16, 16)
    with pytest.raises(ValueError, match="brings other pictures along .InstructPixToPixConditioning., and HiDream-I1"):
        extract_features(hidream, photo)


@pytest.mark.parametrize("name", ["Flux.1 dev", "Flux.2", "LongCat-Image", "Qwen-Image"])
def test_models_that_edit_read_the_picture_without_the_others(photo, name):
    layout = LAYOUTS[name]
    source = Source(layout.load(), layout.vae(), layout.conditioning())
    edited = with_another_picture(source)
    before = repr(edited.conditioning)
    ours, alone = (extract_features(each, photo)[0].features for each in (edited, source))
    assert torch.equal(ours, alone) and repr(edited.conditioning) == before


def test_the_text_of_an_editors_own_node_is_read_without_its_picture(photo):
    """Qwen-Image-Edit's, whose encoder sees the picture too."""
    layout = LAYOUTS["Qwen-Image"]
    vae, words = layout.vae(), Words(layout, QwenImageTokenizer())
    ((entry,),) = TextEncodeQwenImageEditPlus.execute(words, "a red dress", vae, photo).args
    text, extras = entry
    assert extras.pop("reference_latents")[0].shape[-2:] == (128, 128)
    alone = Source(layout.load(), vae, [[text, dict(extras)]])
    ours, read = (extract_features(each, photo)[0].features for each in (with_another_picture(alone), alone))
    assert torch.equal(ours, read) and text.shape[1] > 20


def test_vaes_of_another_model_are_refused(photo):
    for name, other in [("Flux.1 dev", "Flux.2"), ("Flux.1 dev", "Qwen-Image"), ("Qwen-Image", "SD3")]:
        with pytest.raises(
            ValueError, match="this VAE makes latents of .*: connect MODEL and VAE of the same checkpoint"
        ):
            extract_features(source_of(name, vae=LAYOUTS[other].vae()), photo)


def test_another_way_of_sampling_is_refused(photo):
    """A model of pictures given to a node of Stable Diffusion's."""
    source = source_of("Z-Image")
    (model,) = ModelSamplingDiscrete().patch(source.model, "img_to_img", False)
    with pytest.raises(
        ValueError, match="a model that removes noise.*flow.*connect the model from before a ModelSampling node"
    ):
        extract_features(source._replace(model=model), photo)


def test_presets_that_lift_say_what_works_instead(photo):
    layout = LAYOUTS["Z-Image"]
    source, mask = Source(layout.load(), layout.vae(), layout.conditioning()), (photo[..., 0] > 0.5).float()
    features, trajectory = extract_features(source, photo)
    masks = cluster_features(features, 2, restarts=1)
    for push in map(Push, ("paper", "balanced", "fast")):
        message = f'preset "{push.preset}" lifts, which needs a UNet.*this model is .*Z-Image.*the preset "draft"'
        with pytest.raises(ValueError, match=message):
            modulate_attention(source, trajectory, masks, push)
        with pytest.raises(ValueError, match=message):
            lift_mask(source, photo, mask, push)


@pytest.mark.parametrize("name", ["Flux.1 dev", "PixArt sigma"])
def test_a_rough_mask_is_lifted_by_draft(photo, name):
    layout = LAYOUTS[name]
    size = 32 * layout.cell
    picture = torch.nn.functional.interpolate(photo.movedim(-1, 1), (size, size)).movedim(1, -1)
    mask = torch.zeros(1, size, size)
    mask[:, : size // 2, : size // 2] = 1
    source, known = Source(layout.load(), layout.vae(), layout.conditioning()), Known(0, 24 * layout.cell)
    lifted = lift_mask(source, picture, mask, Push("draft"), known)
    assert lifted.soft.shape == (1, size, size) and 0 <= lifted.soft.amin() < 0.5 < lifted.soft.amax() <= 1
