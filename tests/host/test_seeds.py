"""Words by FreeFuse in transformers of one stream: equal to its equations, nothing changed; which tokens are words."""

from typing import NamedTuple

import pytest
import torch
from comfy.text_encoders.hidream import HiDreamTokenizer
from comfy.text_encoders.hunyuan_image import HunyuanImageTokenizer
from comfy.text_encoders.longcat_image import LongCatImageTokenizer
from comfy.text_encoders.z_image import ZImageTokenizer
from emerdiff.emerdiff_ops.seeds import shares_of
from emerdiff.nodes.host import network
from emerdiff.nodes.host.clip import words_in_prompt
from emerdiff.nodes.host.recipes import SEED_RECIPES, SeedRecipe, seed_recipe_of
from emerdiff.nodes.host.session import capture_once
from emerdiff.nodes.steps.by_seeds import Told, seed_maps_of
from emerdiff.nodes.steps.score_text import Asked, Reader, maps_for, signs_of
from emerdiff.nodes.steps.values import Segmentation
from emerdiff.nodes.steps.word_masks import find_words
from plain_seeds import plain_seeds, plain_shares
from transformer_layouts import LAYOUTS, Words, normal
from transformers import PreTrainedTokenizerFast

NAMES = ("Z-Image", "Lumina 2", "Krea 2", "HiDream-I1")
CELLS = (18, 22)  # of the latent: 99 tokens, which Z-Image fills up
PHRASES, BACKGROUND = [[2, 3], [5], [7, 8, 9]], [0, 10, 11]


class Loaded(NamedTuple):
    told: Told
    latent: torch.Tensor
    noise: torch.Tensor

    @property
    def grid(self):
        return network.of(self.told.model).grid_of(self.told.block, CELLS)

    def run(self, hook):
        level = self.told.recipe.level
        capture_once(self.told.model, self.told.conditioning, self.latent, level, hook, self.noise)
        return hook


@pytest.fixture(scope="module", params=NAMES)
def loaded(request):
    layout = LAYOUTS[request.param]
    if not layout.known:
        pytest.skip(f"this ComfyUI has no {layout.family}")
    model = layout.load()
    recipe = seed_recipe_of(model)
    block = network.of(model).find_place(layout.blocks[1])
    told = Told(model, recipe, block, layout.conditioning(), PHRASES, BACKGROUND)
    latent = normal(1, layout.latent_channels, *CELLS, seed=9)
    return Loaded(told, latent, normal(*latent.shape, seed=10))


def test_scores_and_shares_are_those_of_the_equations(loaded):
    hook = loaded.run(loaded.told.hook(loaded.grid))
    tokens, model = loaded.grid[0] * loaded.grid[1], loaded.told.model
    latent = loaded.latent[:, :, None] if network.latent_axes(model) == 3 else loaded.latent
    x = latent, loaded.noise.view_as(latent), loaded.told.recipe.level
    plain = plain_seeds(model, loaded.told.conditioning, x, loaded.told.block.number, [*PHRASES, BACKGROUND], tokens)
    shares = shares_of(hook.scores[:-1], hook.scores[-1], hook.features[0])
    pairs = (hook.scores, plain.scores), (hook.features[0], plain.output), (shares, plain_shares(plain.maps))
    for found, expected in pairs:
        error = ((found - expected).abs().max() / expected.abs().max()).item()
        print(f"largest error {error:.1e}")
        assert found.shape == expected.shape and error < 1e-5 and expected.std() > 0
    spread = (hook.scores - plain.scores).abs().max() / plain.scores.std()
    assert spread < 1e-3, "of how far places differ"


def test_words_change_nothing_that_is_read(loaded):
    """What attention gives the picture is bit for bit what features are made of."""
    ours = loaded.run(loaded.told.hook(loaded.grid))
    plain = loaded.run(network.of(loaded.told.model).capture(loaded.told.block, loaded.grid))
    assert torch.equal(ours.features, plain.features) and ours.features.isfinite().all()
    assert ours.scores.shape == (len(PHRASES) + 1, loaded.grid[0] * loaded.grid[1])


@pytest.mark.once
def test_block_noise_and_words_of_evidence():
    """Block 18 of 30 as published; the same share where nothing is published, and that is said."""
    lumina, krea = SEED_RECIPES["Lumina2"], SEED_RECIPES["Krea2"]
    assert [int(lumina.share * blocks) for blocks in (30, 26, 28)] == [18, 15, 16] and lumina.level == 0.938
    assert "found by eye (FreeFuse, Z-Image-Turbo" in lumina.source_of(30)
    assert "nothing is published" in lumina.source_of(26) and "nothing is published" in krea.source_of(28)


def z_image_words(name="Z-Image", before=0):
    return Words(LAYOUTS[name], ZImageTokenizer(), slice(before, None))


def written(clip, phrases, before=0):
    """The texts of the tokens that are each phrase's words."""
    conditioning, groups = words_in_prompt(clip, phrases, SeedRecipe())
    (chunks,) = clip.tokenize(", ".join(phrases)).values()
    numbers = [entry[0] for chunk in chunks for entry in chunk][before:]
    assert conditioning[0][0].shape[1] == len(numbers)
    decode = clip.tokenizer.qwen3_4b.tokenizer.decode
    return [[decode([numbers[row]]).strip() for row in group] for group in groups]


@pytest.mark.once
@pytest.mark.parametrize("before", [0, 3])
def test_words_are_found_where_they_stand_in_the_template(before):
    """By the encoder's own tokens, whatever it leaves out of its template's beginning."""
    clip = z_image_words(before=before)
    found = written(clip, ["dog", "a red dress", "dog house", "a hippopotamus"], before)
    assert found[:3] == [["dog"], ["red", "dress"], ["dog", "house"]]
    assert "".join(found[3]) == "hippopotamus" and len(found[3]) > 1, "a word of several tokens"
    assert written(clip, ["the", "a house on the hill"], before) == [["the"], ["house", "hill"]]
    with pytest.raises(ValueError, match=r"are \d+ tokens with the encoder's template, 512 at most: name fewer"):
        words_in_prompt(clip, ["dog"] * 300, SeedRecipe())


class Texts:
    """A CLIP with HiDream's own tokenizers and a random vector for each number; Llama's are left out where asked."""

    def __init__(self, llama=True):
        self.tokenizer, self.llama = HiDreamTokenizer(), llama
        own = self.tokenizer.llama  # as its file has it: the host's class drops spaces under transformers 5
        own.tokenizer = PreTrainedTokenizerFast.from_pretrained(own.tokenizer.name_or_path)

    def tokenize(self, text, return_word_ids=False):
        return self.tokenizer.tokenize_with_weights(text, return_word_ids)

    def encode_from_tokens_scheduled(self, tokens):
        numbers = [[entry[0] for entry in tokens[name][0]] for name in ("t5xxl", "llama")]
        t5, llama = (torch.stack([normal(4096, seed=each) for each in own])[None] for own in numbers)
        layers = llama[:, None, : None if self.llama else 1].expand(1, 3, -1, -1)
        return [[t5, {"pooled_output": normal(1, 2048, seed=6), "conditioning_llama3": layers}]]


@pytest.mark.once
def test_words_are_found_in_every_text_that_a_network_is_given():
    """HiDream's: T5's, and twice Llama's; each by its own tokenizer."""
    clip, recipe, phrases = Texts(), SEED_RECIPES["HiDream"], ["dog", "a red dress", "a hippopotamus"]
    _, groups = words_in_prompt(clip, phrases, recipe)
    tokens = clip.tokenize(", ".join(phrases))
    rows = [entry[0] for name in recipe.encoders for entry in tokens[name][0]]
    decode = [getattr(clip.tokenizer, name).tokenizer.decode for name in ("t5xxl", "llama")]
    found = ["".join(decode[row >= 128]([rows[row]]).strip() for row in group) for group in groups]
    assert found[:2] == [3 * "dog", 3 * "reddress"] and found[2].endswith(2 * "hippopotamus")
    with pytest.raises(ValueError, match="this CLIP lacks one of the model's text encoders: load all of them"):
        words_in_prompt(Texts(llama=False), phrases, recipe)
    with pytest.raises(ValueError, match=r"are \d+ tokens with the encoder's template, 126 at most: name fewer"):
        words_in_prompt(clip, ["dog"] * 70, recipe)
    with pytest.raises(ValueError, match="encoders are qwen3_4b, the model takes llama, t5xxl: connect MODEL and CLIP"):
        words_in_prompt(z_image_words(), phrases, recipe)


TOKENIZERS = {
    "LongCat-Image": (LongCatImageTokenizer, slice(36, -5)),
    "Hunyuan Image 2.1": (HunyuanImageTokenizer, slice(34, None)),
}


@pytest.mark.parametrize("name", ["HiDream-I1", *TOKENIZERS])
def test_every_place_is_shared_out_among_words(name):
    layout = LAYOUTS[name]
    tokenizer, kept = TOKENIZERS.get(name, (None, None))
    clip, model = Words(layout, tokenizer(), kept) if tokenizer else Texts(), layout.load()
    latents = normal(1, layout.latent_channels, 16, 16, seed=3)
    maps = maps_for(model)(model, clip, latents, ["dog", "red dress"], ["sky"], 0)
    assert maps.shape == (1, 2, 16 // layout.patch, 16 // layout.patch) and maps.isfinite().all()
    assert 0 <= maps.min() and maps.sum(1).max() <= 1 and not torch.equal(maps[0, 0], maps[0, 1])


def test_a_word_gives_masks_of_segments_and_of_its_own(photo):
    layout = LAYOUTS["Z-Image"]
    reader = Reader(layout.load(), z_image_words(), layout.vae())
    labels = torch.zeros(2, 128, 128, dtype=torch.int16)
    labels[:, 64:], labels[1, :, 60:] = 1, 2
    pictures = torch.cat([photo, photo.flip(1)])
    segmentation, asked = Segmentation(labels, 3), Asked("dog, red dress, dog")
    found = find_words(reader, segmentation, pictures, asked)
    assert found.mask.shape == found.soft.shape == (6, 128, 128) and found.scores.shape == (2, 3, 3)
    assert torch.equal(found.soft[0], found.soft[2]) and found.unnamed.shape == (2, 128, 128)
    assert not torch.equal(found.soft[0], found.soft[1]) and 0 <= found.soft.min() < 0.5 < found.soft.max() <= 1
    alone = signs_of(reader, segmentation, pictures, asked._replace(counter_words=" , "))
    assert (alone.maps[:, 0] + alone.maps[:, 1] - 1).abs().max() < 1e-5, "shares of two"
    with pytest.raises(ValueError, match='"dog" has nothing to compete with: name another phrase, or counter_words'):
        signs_of(reader, segmentation, pictures, Asked("dog, dog", counter_words="dog"))
    for text in ("(dog:1.3), sky", "sky, (dog)"):
        with pytest.raises(ValueError, match=r'"\(dog.*takes brackets for text: leave brackets and weights out'):
            signs_of(reader, segmentation, pictures, Asked(text))
    with pytest.raises(ValueError, match="text is empty: type what to look for"):
        signs_of(reader, segmentation, pictures, Asked(" , "))


def test_encoders_of_others_are_refused(photo):
    layout = LAYOUTS["Z-Image"]
    model, vae = layout.load(), layout.vae()
    segmentation = Segmentation(torch.zeros(1, 128, 128, dtype=torch.int16), 1)
    lumina = z_image_words("Lumina 2")
    with pytest.raises(
        ValueError, match="2304 numbers wide, this model takes 2560: connect MODEL and CLIP of the same"
    ):
        signs_of(Reader(model, lumina, vae), segmentation, photo, Asked("dog"))
    with pytest.raises(
        ValueError, match="encoders are g, l, llama, t5xxl, the model takes one alone: connect MODEL and"
    ):
        words_in_prompt(Texts(), ["dog"], SeedRecipe())


def test_attention_of_another_pack_that_leaves_blocks_out_is_named(photo):
    """A cache that skips blocks, and an attention that no longer tells the host's options."""
    layout = LAYOUTS["Z-Image"]
    model = layout.load()
    for layer in model.model.diffusion_model.layers:
        layer.attention.forward = lambda x, *args, **kwargs: x
    with pytest.raises(ValueError, match="another node replaces or skips blocks of this model"):
        seed_maps_of(model, z_image_words(), normal(1, 16, 16, 16, seed=3), ["dog"], ["sky"], 0)
