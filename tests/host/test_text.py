"""Selecting by text: the phrase's tokens as the host's CLIP gives them, the hook, masks, what cannot work."""

import logging

import comfy.sd
import comfy.sdxl_clip
import pytest
import torch
from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer
from comfy.supported_models_base import ClipTarget
from comparing import smooth_picture
from emerdiff.nodes.host import session, unet
from emerdiff.nodes.host.clip import conditioning_of, words_of
from emerdiff.nodes.host.hooks import WordAttention
from emerdiff.nodes.select_by_text import EmerDiffSelectByText
from emerdiff.nodes.steps.score_text import Reader, score_segments, segment_signs
from emerdiff.nodes.steps.values import Segmentation
from emerdiff.nodes.steps.word_masks import masks_of_the_best
from safetensors.torch import save_file

from small_model.model import load_clip
from small_model.scenes import HELD_OUT, scene


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """SD1.x's CLIP of one layer with random weights, and an embedding "three" of three vectors."""
    folder = tmp_path_factory.mktemp("embeddings")
    save_file({"clip_l": torch.randn(3, 768)}, folder / "three.safetensors")
    options = {"clip_l_model_config": {"num_hidden_layers": 1}}
    clip = comfy.sd.CLIP(ClipTarget(SD1Tokenizer, SD1ClipModel), embedding_directory=str(folder), model_options=options)
    generator = torch.Generator().manual_seed(1)
    for each in clip.cond_stage_model.parameters():
        each.data.copy_(0.1 * torch.randn(each.shape, generator=generator))
    return clip


class TokensOnly:
    """As much of a CLIP as `words_of` needs."""

    def __init__(self, tokenizer):
        self.tokenize = tokenizer.tokenize_with_weights


@pytest.fixture
def quarters():
    """Two pictures in four quarters each: segments 0, 1, 2 and 4 of five."""
    labels = torch.zeros(2, 96, 77, dtype=torch.int16)
    labels[:, :48, 40:], labels[:, 48:, :40], labels[:, 48:, 40:] = 1, 2, 4
    return Segmentation(labels, 5)


@pytest.fixture
def pictures():
    return smooth_picture(96, 77, count=2)


@pytest.mark.parametrize(
    ("phrase", "own"), [("dog", 1), ("a red dog", 3), ("(dog:1.3)", 1), ("embedding:three dog", 4), ("dog " * 80, 80)]
)
def test_the_phrases_own_tokens_are_found(clip, phrase, own):
    words = words_of(clip, phrase)
    assert words.sum() == own and words[0] == 0
    assert torch.equal(words[1 : min(own, 75) + 1], torch.ones(min(own, 75)))
    assert len(words) == conditioning_of(clip, phrase)[0][0].shape[1] == (154 if own > 75 else 77)


def test_both_text_encoders_of_sdxl_agree_on_the_tokens(clip):
    both = TokensOnly(comfy.sdxl_clip.SDXLTokenizer())
    assert torch.equal(words_of(both, "a red dog"), words_of(clip, "a red dog"))


def select(loaders, clip, segmentation, image, **options):
    model, vae, _ = loaders
    inputs = {"text": "a dog, sky", "count": 2, "threshold": 0.0, "seed": 0} | options
    return EmerDiffSelectByText.execute(segmentation, model, clip, image, vae, **inputs).result


def test_every_phrase_of_every_picture_gets_a_mask(sd1, clip, quarters, pictures):
    masks, overlay, soft, unnamed = select(sd1, clip, quarters, pictures.half())
    assert soft.shape == (4, 96, 77) and 0 <= soft.min() < 0.5 < soft.max() <= 1
    torch.testing.assert_close(unnamed, 1 - soft.unflatten(0, (2, 2)).amax(1))
    assert masks.shape == (4, 96, 77) and masks.dtype == torch.float32
    assert overlay.shape == (4, 96, 77, 3)
    for index, mask in enumerate(masks):
        taken = quarters.labels[index // 2][mask > 0].unique()
        assert len(taken) == 2 and set(mask.unique().tolist()) == {0, 1}


def test_pictures_and_phrases_do_not_see_each_other(sd1, clip, quarters, pictures):
    model, vae, _ = sd1
    every = segment_signs(Reader(model, clip, vae), quarters, pictures, ["a dog", "sky"])
    second = quarters._replace(labels=quarters.labels[1:])
    alone = segment_signs(Reader(model, clip, vae), second, pictures[1:], ["sky"])
    for together, one in zip(every[:2], alone[:2]):
        assert together.shape == (2, 2, 5)
        torch.testing.assert_close(together[1:, 1:], one, rtol=1e-3, atol=1e-7)
        assert (together[0, 0] - together[1, 0]).abs().max() > 1e-6


def test_reading_the_attention_changes_nothing(sd1):
    """The prediction with the hook is that without, another node's attention still runs, and every layer is read."""
    model, _, conditioning = sd1
    layers, calls = unet.coarsest_output_layers(model), []
    hook = WordAttention(layers, torch.ones(1, 77), session.attend)

    class Others:
        def install(self, options):
            def attention(function, *args, **kwargs):
                calls.append(len(hook.maps))
                return function(*args, **kwargs)

            options["optimized_attention_override"] = attention
            if self is reading:
                hook.install(options)

    plain, reading = Others(), Others()
    x = torch.randn(2, 4, 16, 12, generator=torch.Generator().manual_seed(0))

    def work(x0, predict):
        first, second = (predict(x, 2.0, hooks) for hooks in (plain, reading))
        assert torch.equal(first, second)
        return x0

    session.run_session(model, conditioning, x[:1], work)
    assert len(calls) % 2 == 0 and calls[: len(calls) // 2].count(0) == len(calls) // 2
    assert list(hook.maps) == layers
    for each in hook.maps.values():
        torch.testing.assert_close(each, torch.ones(1, 2, 4 * 3))


def test_nothing_above_the_threshold_is_an_empty_mask_and_a_warning(sd1, clip, quarters, pictures, caplog):
    with caplog.at_level(logging.WARNING, "EmerDiff"):
        masks, *_ = select(sd1, clip, quarters, pictures, threshold=9.0)
    assert masks.shape == (4, 96, 77) and not masks.any()
    assert len(caplog.messages) == 4
    assert 'picture 1 scores above 9 for "sky"' in caplog.messages[3] and "best scores" in caplog.messages[3]


def test_what_cannot_work_says_how_to_mend_it(sd1, small, clip, quarters, pictures):
    for loaders, text_encoder, options, message in [
        (sd1, clip, {"text": " , "}, "type what to look for"),
        (sd1, None, {}, "Load CLIP"),
        (small, clip, {}, "same checkpoint"),
        (sd1, load_clip(), {"text": "disc"}, "same checkpoint"),
        (sd1, clip, {"text": "embedding:missing"}, "finds no word"),
    ]:
        with pytest.raises(ValueError, match=message):
            select(loaders, text_encoder, quarters, pictures, **options)
    with pytest.raises(ValueError, match="connect the image that was segmented"):
        select(sd1, clip, quarters, pictures[:, 1:])


def test_words_of_objects_find_objects(small):
    """With the true regions as segments: an object, not sky or ground. Which one, the small model hardly tells."""
    model, vae, _ = small
    for seed in range(HELD_OUT + 300, HELD_OUT + 303):
        true = scene(seed)
        segmentation = Segmentation(torch.from_numpy(true.labels)[None].to(torch.int16), len(true.words))
        image, words = torch.from_numpy(true.image)[None], ", ".join(true.words[2:])
        scores = score_segments(Reader(model, load_clip(), vae), segmentation, image, words)
        masks = masks_of_the_best(segmentation, scores, words)
        assert (segmentation.labels * masks).flatten(1).amax(1).min() >= 2
        assert scores[..., 2:].mean() > scores[..., :2].mean() + 1
