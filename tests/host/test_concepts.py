"""Words by ConceptAttention: equal to its equations in every family, and seen by nobody; which tokens are concepts."""

from typing import NamedTuple

import comfy.model_management
import pytest
import torch
from comfy.text_encoders.flux import FluxTokenizer, KleinTokenizer
from comfy.text_encoders.hunyuan_image import HunyuanImageTokenizer
from comfy.text_encoders.longcat_image import LongCatImageTokenizer
from comfy.text_encoders.qwen_image import QwenImageTokenizer
from comfy.text_encoders.sd3_clip import SD3Tokenizer
from comfy.text_encoders.z_image import ZImageTokenizer
from emerdiff.nodes.host import network
from emerdiff.nodes.host.clip import concepts_of
from emerdiff.nodes.host.concepts import Concepts
from emerdiff.nodes.host.recipes import RECIPES, recipe_of, stack_of
from emerdiff.nodes.host.session import capture_once
from emerdiff.nodes.host.unet import network_of
from emerdiff.nodes.steps.by_concepts import Looked
from emerdiff.nodes.steps.score_text import Asked, Reader, signs_of
from emerdiff.nodes.steps.values import Segmentation
from emerdiff.nodes.steps.word_masks import find_words
from plain_concepts import FORMS, plain_scores
from transformer_layouts import LAYOUTS, Words, normal

NAMES = ("Flux.1 dev", "Flux.1 schnell", "Flux.2", "SD3", "SD3.5 medium", "SD3.5 large", "Chroma", "Qwen-Image",
         "AuraFlow", "LongCat-Image", "Hunyuan Image 2.1")  # fmt: skip
COUNT, CELLS = 5, (10, 12)  # concepts, and cells of the latent


class Loaded(NamedTuple):
    look: Looked
    latent: torch.Tensor
    noise: torch.Tensor

    @property
    def grid(self):
        own = network.of(self.look.model)
        return own.grid_of(own.find_place("auto"), CELLS)

    def run(self, hook, level: float):
        capture_once(self.look.model, self.look.conditioning, self.latent, level, hook, self.noise)
        return hook


@pytest.fixture(scope="module", params=NAMES)
def loaded(request):
    layout = LAYOUTS[request.param]
    if not layout.known:
        pytest.skip(f"this ComfyUI has no {layout.family}")
    model = layout.load()
    recipe = recipe_of(model)
    words = normal(1, recipe.left_out + COUNT, layout.width, seed=8)
    look = Looked(model, recipe, layout.conditioning(), words)
    latent = normal(1, layout.latent_channels, *CELLS, seed=9)
    return Loaded(look, latent, normal(*latent.shape, seed=10))


def test_scores_are_those_of_the_equations(loaded):
    """Every block, to 1e-5 of the largest score, whichever a recipe scores."""
    model, recipe, conditioning, words = loaded.look
    every = recipe._replace(blocks=range, unit=False, left_out=0)
    hook = loaded.run(loaded.look._replace(recipe=every).hook(loaded.grid, recipe.levels[0]), recipe.levels[0])
    comfy.model_management.load_models_gpu([model])
    concepts = embedded(model, recipe, words.to(loaded.latent))
    form = FORMS[type(model.model).__name__]
    latent = loaded.latent[:, :, None] if network.latent_axes(model) == 3 else loaded.latent
    noise = loaded.noise.view_as(latent)
    x = latent, noise, recipe.levels[0]
    expected = plain_scores(form, model, conditioning, x, concepts, recipe.place)
    assert len(hook.scores) == len(expected) == len(stack_of(model))
    for found, plain in zip(hook.scores, expected, strict=True):
        error = ((found - plain).abs().max() / plain.abs().max()).item()
        print(f"largest error {error:.1e}")
        assert error < 1e-5 and plain.std() > 0


def embedded(model, recipe, words):
    """Concepts as the first block takes them; where the network mixes the tokens of a text, each alone."""
    timestep = network.timestep_of(model, recipe.levels[0])
    if type(model.model).__name__ != "HunyuanImage21":
        return recipe.embed(network_of(model), timestep, words)
    refine = network_of(model).txt_in
    return torch.cat([refine(words[:, [n]], timestep, None) for n in range(words.shape[1])], 1)


class Kept(Concepts):
    """Keeps what attention gives the picture in the last block."""

    def _score(self, concepts, picture):
        self.picture = picture[:, -self.tokens :]
        super()._score(concepts, picture)


def test_nobody_sees_the_concepts(loaded):
    """What attention gives the picture is bit for bit what it gives without them."""
    model, recipe, _, words = loaded.look
    blocks = recipe.blocks(len(stack_of(model)))
    embed = lambda text: embedded(model, recipe, text)  # noqa: E731
    ours = loaded.run(Kept(recipe, blocks, words, embed, loaded.grid[0] * loaded.grid[1]), recipe.levels[0])
    kind = list(network.of(model).blocks())[0].kind
    plain = network.of(model).capture(network.of(model).find_place(f"{kind} {blocks[-1]}"), loaded.grid)
    loaded.run(plain, recipe.levels[0])
    assert torch.equal(ours.picture.float(), plain.features) and ours.picture.isfinite().all()
    scores = ours.scores[-1]
    assert scores.shape == (COUNT, loaded.grid[0] * loaded.grid[1])


class Encoder:
    """A CLIP whose every token is its own number, those of the template left out as `kept` tells; real tokenizers."""

    def __init__(self, tokenizer, kept=slice(None)):
        self.tokenizer, self.kept = tokenizer, kept

    def tokenize(self, text, return_word_ids=False):
        return self.tokenizer.tokenize_with_weights(text, return_word_ids)

    def encode_from_tokens_scheduled(self, tokens):
        (chunks, *_) = tokens.values()
        numbers = torch.tensor([float(entry[0]) for chunk in chunks for entry in chunk])[self.kept]
        return [[numbers[None, :, None].expand(1, -1, 8), {}]]


@pytest.mark.once
@pytest.mark.parametrize("phrase", ["dog", "a hippopotamus", "red dress"])
def test_a_concept_is_the_token_that_its_recipe_names(phrase):
    t5 = FluxTokenizer().t5xxl.tokenizer
    flux = Encoder(FluxTokenizer())
    flux.tokenize = lambda text, return_word_ids=False: {"t5xxl": FluxTokenizer().t5xxl.tokenize_with_weights(text)}
    assert concepts_of(flux, [phrase], RECIPES["Flux"])[0, 0, 0] == t5(phrase)["input_ids"][0]
    for tokenizer, kept, family in (
        (KleinTokenizer(), slice(None), "Flux2"),
        (QwenImageTokenizer(), slice(34, None), "QwenImage"),
        (HunyuanImageTokenizer(), slice(34, None), "HunyuanImage21"),
        (LongCatImageTokenizer(), slice(36, -5), "LongCatImage"),
    ):
        own = getattr(tokenizer, tokenizer.clip).tokenizer
        found = concepts_of(Encoder(tokenizer, kept), [phrase], RECIPES[family])
        assert found[0, 0, 0] == own(phrase)["input_ids"][-1]
    clip_g = SD3Tokenizer().clip_g.tokenizer
    found = concepts_of(Encoder(SD3Tokenizer()), ["sky", phrase, "sky"], RECIPES["SD3"])
    start, *words = found[0, :, 0].tolist()
    assert start == clip_g("")["input_ids"][0]
    assert words == [clip_g(each)["input_ids"][-2] for each in ("sky", phrase, "sky")]
    with pytest.raises(ValueError, match="more than this text encoder takes at once: name fewer"):
        concepts_of(Encoder(SD3Tokenizer()), ["dog"] * 90, RECIPES["SD3"])
    for tokenizer, family in ((SD3Tokenizer(), "Flux"), (FluxTokenizer(), "SD3")):
        with pytest.raises(
            ValueError, match="the model takes (others|g, l, t5xxl): connect MODEL and CLIP of the same"
        ):
            concepts_of(Encoder(tokenizer), [phrase], RECIPES[family])


def test_a_word_gives_masks_of_segments_and_of_its_own(photo):
    layout = LAYOUTS["Flux.1 dev"]
    reader = Reader(layout.load(), Words(layout, FluxTokenizer()), layout.vae())
    labels = torch.zeros(2, 128, 128, dtype=torch.int16)
    labels[:, 64:], labels[1, :, 60:] = 1, 2
    pictures = torch.cat([photo, photo.flip(1)])
    segmentation, asked = Segmentation(labels, 3), Asked("dog, sky, dog")
    found = find_words(reader, segmentation, pictures, asked)
    assert found.mask.shape == found.soft.shape == (6, 128, 128) and found.scores.shape == (2, 3, 3)
    assert torch.equal(found.soft[0], found.soft[2]) and found.unnamed.shape == (2, 128, 128)
    assert 0 <= found.soft.min() < 0.5 < found.soft.max() <= 1
    signs = signs_of(reader, segmentation, pictures, asked)
    first = signs.maps[0, 0]
    height = first.shape[0] // 2
    torch.testing.assert_close(signs.attention[0, 0, :2], torch.stack([first[:height].mean(), first[height:].mean()]))
    alone = signs_of(reader, segmentation, pictures, asked._replace(counter_words=" , "))
    assert (alone.maps[:, 0] + alone.maps[:, 1] - 1).abs().max() < 1e-5, "shares of two"


def test_what_cannot_be_looked_for_is_refused(photo, monkeypatch):
    layout = LAYOUTS["Flux.1 dev"]
    reader = Reader(layout.load(), Words(layout, FluxTokenizer()), layout.vae())
    segmentation, narrow = Segmentation(torch.zeros(1, 128, 128, dtype=torch.int16), 1), LAYOUTS["Z-Image"]
    other = reader._replace(clip=Words(narrow, ZImageTokenizer()))
    for asked, given, sentence in (
        (Asked("dog"), other, "2560 numbers wide, this model takes 4096: connect MODEL and CLIP of the same"),
        (Asked("dog"), reader._replace(clip=None), "no text encoder: load one"),
        (Asked(" , "), reader, "text is empty: type what to look for"),
        (Asked("dog, dog", counter_words="dog"), reader, '"dog" has nothing to compete with'),
    ):
        with pytest.raises(ValueError, match=sentence):
            signs_of(given, segmentation, photo, asked)
    qwen = LAYOUTS["Qwen-Image"]
    bracketed = Reader(qwen.load(), Words(qwen, QwenImageTokenizer()), qwen.vae())
    with pytest.raises(ValueError, match="takes brackets for text: leave brackets and weights out"):
        signs_of(bracketed, segmentation, photo, Asked("(dog:1.3), sky"))
    with monkeypatch.context() as full:
        full.setattr(comfy.model_management, "get_free_memory", lambda *device: 10**6)
        with pytest.raises(ValueError, match="masks of 4 phrases take 0.0 GB and 0.0 GB are free: name fewer at once"):
            signs_of(reader, segmentation, photo, Asked("dog, sky, grass, tree"))
    reader.model.set_model_patch_replace(lambda given, extra: given, "dit", "double_block", 0)
    with pytest.raises(ValueError, match="another node replaces or skips blocks of this model"):
        signs_of(reader, segmentation, photo, Asked("dog"))


def test_families_without_a_recipe_are_refused_by_name(photo):
    layout = LAYOUTS["PixArt sigma"]
    reader = Reader(layout.load(), None, layout.vae())
    segmentation = Segmentation(torch.zeros(1, 128, 128, dtype=torch.int16), 1)
    with pytest.raises(
        ValueError, match="with UNets .*Flux.1.*is PixArt, whose picture attends to text apart .*Pick by Points"
    ):
        signs_of(reader, segmentation, photo, Asked("dog"))
