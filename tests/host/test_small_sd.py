"""The small Stable Diffusion: SD1.x's layout and ways in the host's own classes, its autoencoder, what it learned."""

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

from small_model import small_sd
from small_model.scenes import HELD_OUT, scene
from small_model.words import COCO, SCENES, SMALL_SD

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
    assert [network.sigma_of(loaded.model, t) for t in (1, 281, 999)] == pytest.approx(
        [0.0413, 0.7789, 14.6146], abs=1e-4
    )
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


def test_the_words_are_the_scenes_and_cocos_133():
    assert len(COCO) == len(set(COCO)) == 133 and set(SMALL_SD[1:]) == {*SCENES, *COCO}


def test_an_unknown_word_is_refused_and_the_empty_prompt_is_padding():
    clip = small_sd.load_clip()
    with pytest.raises(ValueError, match="knows only the words"):
        clip.tokenize("star unicorn")
    (tokens, _), (padding, _) = clip.conditioning("star horse")[0], clip.conditioning("")[0]
    assert tokens.shape == padding.shape == (1, 12, 64)
    assert torch.equal(tokens[0, 2:], padding[0, 2:]) and not torch.equal(tokens[0, 0], padding[0, 0])
