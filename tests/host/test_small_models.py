"""The small Stable Diffusion and the small Flux: the layouts and ways of SD1.x and Flux.1 in the host's own classes."""

import itertools
from functools import partial

import comfy.model_sampling
import numpy as np
import pytest
import torch
from comparing import NoHooks, scene_picture
from emerdiff.nodes.host import network, unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.host.transformers import Block
from emerdiff.nodes.steps.by_concepts import concept_maps_of
from emerdiff.nodes.steps.checks import check_source
from emerdiff.nodes.steps.values import Source

from measure.beds import SMALL_FLUX
from measure.metrics import bilinear_labels, iou
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from measure.rough import rough_masks
from measure.words import most_frequent, right_words
from small_model import small_flux, small_sd
from small_model.scenes import HELD_OUT, scene
from small_model.words import COCO, SCENES, SMALL_SD

pytestmark = pytest.mark.once
LEVELS = {small_sd: (1.5, 3.0), small_flux: (0.5, 0.7)}  # of noise: sigmas at t = 481 and 681, nearly; shares


@pytest.fixture(scope="module")
def sd():
    return Source(*small_sd.load())


@pytest.fixture(scope="module")
def flux():
    return Source(*small_flux.load())


picture = partial(scene_picture, size=256)


# --- what they are ---


def test_the_layers_are_those_of_sd1(sd):
    layers = [str(each) for each in unet.cross_attention_layers(sd.model)]
    inputs = [f"input {number}.0" for number in (1, 2, 4, 5, 7, 8)]
    assert layers == [*inputs, "middle 0.0", *(f"output {number}.0" for number in range(3, 12))]
    assert str(unet.find_layer(sd.model, "auto", last=False)) == "output 3.0"
    assert str(unet.find_layer(sd.model, "auto", last=True)) == "output 5.0"
    assert unet.grid_of(sd.model, unet.find_layer(sd.model, "auto", last=True), (64, 64)) == (16, 16)


def test_it_predicts_the_noise_on_sds_schedule_and_is_taken_as_any_checkpoint_is(sd):
    check_source(sd)
    sampling = sd.model.get_model_object("model_sampling")
    assert isinstance(sampling, comfy.model_sampling.EPS) and not isinstance(sampling, comfy.model_sampling.X0)
    sigmas = [network.sigma_of(sd.model, t) for t in (1, 281, 999)]
    assert sigmas == pytest.approx([0.0413, 0.7789, 14.6146], abs=1e-4)
    assert network.latent_channels(sd.model) == 4 and network.latent_ratio(sd.model) == 8


def test_the_blocks_are_those_of_flux(flux):
    check_source(flux)
    assert isinstance(flux.model.get_model_object("model_sampling"), comfy.model_sampling.CONST)
    assert network.of(flux.model).find_place("auto") == Block("double", 2)
    assert str(network.of(flux.model).find_place("Single  5")) == "single 5"
    with pytest.raises(ValueError, match='"double 0" to "double 2", "single 0" to "single 5"'):
        network.of(flux.model).find_place("output 3")


def test_a_level_of_noise_has_the_signal_to_noise_ratio_of_sds(flux):
    """t = 281: sigma .7789, a share of .4379."""
    assert network.sigma_of(flux.model, 281) == pytest.approx(0.7789 / 1.7789, abs=1e-4)
    latent, noise = torch.full((1, 4, 2, 2), 2.0), torch.full((1, 4, 2, 2), -1.0)
    assert torch.allclose(network.with_noise(flux.model, latent, 0.25, noise), torch.full_like(latent, 1.25))


def test_the_words_are_the_scenes_and_cocos_133():
    assert len(COCO) == len(set(COCO)) == 133 and set(SMALL_SD[1:]) == {*SCENES, *COCO}


def test_an_unknown_word_is_refused_and_the_empty_prompt_is_padding():
    clip = small_sd.load_clip()
    with pytest.raises(ValueError, match="knows only the words"):
        clip.tokenize("star unicorn")
    (tokens, _), (padding, _) = clip.conditioning("star horse")[0], clip.conditioning("")[0]
    assert tokens.shape == padding.shape == (1, 12, 64)
    assert torch.equal(tokens[0, 2:], padding[0, 2:]) and not torch.equal(tokens[0, 0], padding[0, 0])


# --- what they learned ---


def test_pictures_come_back_through_the_autoencoder_lossily_and_colours_stay(sd):
    pictures = torch.cat([picture(number) for number in range(2)])
    latent = sd.vae.encode(pictures)
    again = sd.vae.decode(latent)
    assert latent.shape == (2, 4, 32, 32) and again.shape == pictures.shape
    error = (again - pictures).square().mean((1, 2, 3))
    assert (-10 * error.log10()).mean() > 22  # dB
    assert error.max() > 1e-5, "an autoencoder that loses nothing is no test of what a lossy one does"
    shade = torch.tensor([0.8, 0.3, 0.2]).expand(1, 128, 128, 3)
    assert (sd.vae.decode(sd.vae.encode(shade))[:, 32:96, 32:96] - shade[:, 32:96, 32:96]).abs().max() < 0.1


def denoised(source, latent, noise, level):
    """The model's picture of a latent with noise of a level."""

    def work(x0, predict):
        return predict(network.with_noise(source.model, x0, level, noise.to(x0)), level, NoHooks())

    return run_session(source.model, source.conditioning, latent, work)


@pytest.mark.parametrize("made", [small_sd, small_flux], ids=["SD", "Flux"])
def test_it_removes_noise_better_than_no_model_and_better_with_the_right_words(request, made):
    """Squared error of the picture, beside the best guess of a model that knows only the mean: a x / (a^2 + s^2)."""
    source = request.getfixturevalue("sd" if made is small_sd else "flux")
    errors = {"nothing": [], "empty": [], "words": []}
    for number, level in itertools.product(range(2), LEVELS[made]):
        latent, words = source.vae.encode(picture(number)), " ".join(scene(HELD_OUT + number).words)
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(number))
        share = 1 if made is small_sd else 1 - level
        guess = share * (share * latent + level * noise) / (share**2 + level**2)
        errors["nothing"].append((guess - latent).square().mean())
        for name, text in (("empty", ""), ("words", words)):
            prompted = source._replace(conditioning=made.load_clip().conditioning(text))
            errors[name].append((denoised(prompted, latent, noise, level) - latent).square().mean())
    means = {name: float(np.mean(each)) for name, each in errors.items()}
    assert means["empty"] < 0.7 * means["nothing"]
    assert means["words"] < means["empty"]


def test_words_find_their_places_on_the_small_flux(flux):
    """By ConceptAttention among a scene's words; another word of the scene does not."""
    found, shuffled = [], []
    for number in range(4):
        true, latent = scene(HELD_OUT + number, SMALL_FLUX.size), flux.vae.encode(picture(number))
        (maps,) = concept_maps_of(flux.model, small_flux.load_clip(), latent, list(true.words), [], number)
        shown, named = maps.argmax(0).numpy(), most_frequent(true.labels, (16, 16))
        found.append(list(right_words(shown, named).values()))
        shuffled.append(list(right_words((shown + 1) % len(true.words), named).values()))
    places, _, words = np.mean(found, 0)
    assert places > 0.8 and words > 0.5
    assert all(share < 0.3 for share in np.mean(shuffled, 0))


def test_the_draft_of_the_small_flux_is_better_than_its_clusters_enlarged():
    pipeline, scored = Pipeline(torch.float32, SMALL_FLUX), {"draft": [], "clusters": []}
    for number in range(3):
        made = scene(HELD_OUT + number, SMALL_FLUX.size)
        seen = Pictured(made.image, made.labels[None])
        made = pipeline.segmented(seen.image, "draft")
        scored["draft"].append(seen.scores(made.labels))
        scored["clusters"].append(seen.scores(bilinear_labels(made.low_res.masks[0], seen.image.shape[:2])))
    figures = ("miou", "ari", "f2")
    draft, clusters = ([np.mean([row[name] for row in rows]) for name in figures] for rows in scored.values())
    assert all(ours > theirs for ours, theirs in zip(draft, clusters))
    assert draft[0] > 0.6 and draft[1] > 0.7


def test_rough_masks_become_the_thing_by_draft_on_the_small_flux():
    """Every kind, and by more than .2 on the mean of the scenes."""
    pipeline, gains = Pipeline(torch.float32, SMALL_FLUX), {}
    for number in range(3):
        true = scene(HELD_OUT + number, SMALL_FLUX.size)
        region = true.labels == 2
        rough = rough_masks(region, number)
        masks = torch.from_numpy(np.stack([*rough.values()]))
        lifted = pipeline.lift(true.image, masks, "draft", pipeline.known(true.image, number)).numpy() > 0.5
        for kind, given, found in zip(rough, rough.values(), lifted, strict=True):
            gains.setdefault(kind, []).append(iou(found, region) - iou(given > 0.5, region))
    assert all(np.mean(each) > 0.2 for each in gains.values())
