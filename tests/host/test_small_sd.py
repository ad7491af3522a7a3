"""The small Stable Diffusion: SD1.x's layout and ways in the host's own classes, its autoencoder, its training."""

import comfy.model_sampling
import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.schedule import sample_level
from emerdiff.nodes.host import network, unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps.checks import check_source
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.values import Source

from small_model import autoencoder, small_sd
from small_model.photographs import Photograph
from small_model.scenes import HELD_OUT, scene
from small_model.words import COCO, SCENES, SMALL_SD, word_of
from training import latents
from training.network import SIGMAS
from training.train_autoencoder import fresh, standardise

pytestmark = pytest.mark.once
LARGEST = 24e6  # bytes, both files together


class NoHooks:
    def install(self, options):
        pass


def denoised(source, latent, noise, timestep):
    """The model's picture of a latent at the noise of a timestep."""
    sigma = network.sigma_of(source.model, timestep)

    def work(x0, predict):
        return predict(sample_level(x0, sigma, noise.to(x0)), sigma, NoHooks())

    return run_session(source.model, source.conditioning, latent, work)


@pytest.fixture(scope="module")
def loaded():
    return Source(*small_sd.load())


def test_it_is_small_and_both_files_are_half_precision():
    assert small_sd.WEIGHTS.stat().st_size + autoencoder.WEIGHTS.stat().st_size <= LARGEST


def test_its_layers_are_those_of_sd1(loaded):
    layers = [str(each) for each in unet.cross_attention_layers(loaded.model)]
    inputs = [f"input {number}.0" for number in (1, 2, 4, 5, 7, 8)]
    assert layers == [*inputs, "middle 0.0", *(f"output {number}.0" for number in range(3, 12))]
    assert str(unet.find_layer(loaded.model, "auto", last=False)) == "output 3.0"
    assert str(unet.find_layer(loaded.model, "auto", last=True)) == "output 5.0"
    assert unet.grid_of(loaded.model, unet.find_layer(loaded.model, "auto", last=True), (64, 64)) == (16, 16)


def test_it_predicts_the_noise_on_sds_schedule_and_is_taken_as_any_checkpoint_is(loaded):
    check_source(loaded)
    sampling = loaded.model.get_model_object("model_sampling")
    assert isinstance(sampling, comfy.model_sampling.EPS) and not isinstance(sampling, comfy.model_sampling.X0)
    assert [network.sigma_of(loaded.model, t) for t in (1, 281, 999)] == pytest.approx(SIGMAS[[1, 281, 999]].tolist())
    assert network.latent_channels(loaded.model) == 4 and network.latent_ratio(loaded.model) == 8


def test_pictures_come_back_through_the_autoencoder_lossily_and_colours_stay(loaded):
    pictures = torch.from_numpy(np.stack([scene(HELD_OUT + number, 256).image for number in range(4)]))
    latent = loaded.vae.encode(pictures)
    again = loaded.vae.decode(latent)
    assert latent.shape == (4, 4, 32, 32) and again.shape == pictures.shape
    error = (again - pictures).square().mean((1, 2, 3))
    assert (-10 * error.log10()).mean() > 22  # dB
    assert error.max() > 1e-5, "an autoencoder that loses nothing is no test of what a lossy one does"
    shade = torch.tensor([0.8, 0.3, 0.2]).expand(1, 128, 128, 3)
    assert (loaded.vae.decode(loaded.vae.encode(shade))[:, 32:96, 32:96] - shade[:, 32:96, 32:96]).abs().max() < 0.1


def test_the_decoder_is_not_linear(loaded):
    """As SD's is not: halfway between two latents is not halfway between their pictures."""
    one, other = (loaded.vae.encode(torch.from_numpy(scene(HELD_OUT + n, 128).image)[None]) for n in (0, 1))
    between = loaded.vae.decode((one + other) / 2)
    mean = (loaded.vae.decode(one) + loaded.vae.decode(other)) / 2
    assert (between - mean).abs().mean() > 0.01


def test_latents_have_about_the_standard_deviation_that_the_noise_is_for(loaded):
    pictures = torch.from_numpy(np.stack([scene(HELD_OUT + number, 256).image for number in range(8)]))
    assert float(loaded.vae.encode(pictures).std()) * small_sd.SCALE_FACTOR == pytest.approx(1, abs=0.4)


def test_it_removes_noise_better_than_no_model_and_better_with_the_right_words(loaded):
    """Squared error of the picture at t = 481 and 681, beside the best guess of a model that knows only the mean."""
    errors = {"nothing": [], "empty": [], "words": []}
    for number in range(6):
        made = scene(HELD_OUT + number, 256)
        latent = loaded.vae.encode(torch.from_numpy(made.image)[None])
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(number))
        for timestep in (481, 681):
            sigma = network.sigma_of(loaded.model, timestep)
            guess = sample_level(latent, sigma, noise) / (1 + sigma**2)
            errors["nothing"].append((guess - latent).square().mean())
            for name, words in (("empty", ""), ("words", " ".join(made.words))):
                prompted = loaded._replace(conditioning=small_sd.load_clip().conditioning(words))
                errors[name].append((denoised(prompted, latent, noise, timestep) - latent).square().mean())
    means = {name: float(np.mean(each)) for name, each in errors.items()}
    assert means["empty"] < 0.7 * means["nothing"]
    assert means["words"] < means["empty"]


def test_features_of_one_region_are_more_alike_than_those_of_two(loaded):
    apart = []
    for number in range(4):
        made = scene(HELD_OUT + number, 256)
        features = extract_features(loaded, torch.from_numpy(made.image)[None])[0].features[0].flatten(0, 1)
        labels = torch.from_numpy(made.labels)[16::32, 16::32].flatten()
        distance, same = torch.cdist(features, features), labels[:, None] == labels
        apart.append(float(distance[~same].mean() / distance[same].mean()))
    assert np.mean(apart) > 1.1


# --- words and what is learned from ---


def test_the_words_are_the_scenes_and_cocos_133():
    assert len(COCO) == len(set(COCO)) == 133 and set(SMALL_SD[1:]) == {*SCENES, *COCO}
    names = ("sky-other-merged", "hot dog", "wall-brick", "door-stuff", "tree-merged", "water-other", "tv")
    assert [word_of(name) for name in names] == ["sky", "hot-dog", "wall-brick", "door", "tree", "water", "tv"]
    assert all(word_of(name) in SMALL_SD for name in names)


def test_an_unknown_word_is_refused_and_the_empty_prompt_is_padding():
    clip = small_sd.load_clip()
    with pytest.raises(ValueError, match="knows only the words"):
        clip.tokenize("star unicorn")
    (tokens, _), (padding, _) = clip.conditioning("star horse")[0], clip.conditioning("")[0]
    assert tokens.shape == padding.shape == (1, 12, 64)
    assert torch.equal(tokens[0, 2:], padding[0, 2:]) and not torch.equal(tokens[0, 0], padding[0, 0])


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    made = []
    for number in range(3):
        image = rng.random((60, 90, 3), np.float32)
        truth = np.repeat(np.arange(3)[None], 30, 1).repeat(60, 0).reshape(1, 60, 90)
        made.append(Photograph(f"{number}", image, truth, ("unlabelled", "horse", "sky-other-merged")))
    return made


def test_what_is_seen_where_goes_with_the_picture(pictures):
    for seed in range(12):
        image, tokens = latents.item(pictures, seed)
        assert image.shape == (320, 320, 3) and tokens.shape == (40, 40)
        assert 0 <= image.min() and image.max() <= 1
        assert set(np.unique(tokens)) <= {0, *range(1, 9), SMALL_SD.index("horse"), SMALL_SD.index("sky")}
    again = latents.item(pictures, 3)
    assert np.array_equal(again[0], latents.item(pictures, 3)[0])


def test_a_window_and_its_words_belong_together():
    tokens = torch.zeros(40, 40, dtype=torch.uint8)
    tokens[:, 20:] = 5
    tokens[0, 0] = 7  # too small to be named
    values = tokens.float().expand(4, 40, 40)
    for seed in range(5):
        part, seen = latents.window(values, tokens, 32, np.random.default_rng(seed))
        assert part.shape == (4, 32, 32) and torch.equal(part[0], seen.float())
        assert latents.prompt(seen, 12).tolist() == [5] + [0] * 11
    two = torch.tensor([[3, 3, 3, 9], [3, 9, 9, 0]], dtype=torch.uint8)
    assert latents.prompt(two, 3).tolist() == [3, 9, 0]


def test_standardised_latents_show_the_same_pictures():
    net = fresh()
    pixels = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before = net.decode(net.encode(pixels))
    standardise(net, pixels)
    latent = net.encode(pixels)
    assert torch.allclose(net.decode(latent), before, atol=1e-4)
    assert torch.allclose(latent.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latent.std((0, 2, 3)), torch.ones(4), atol=1e-3)
