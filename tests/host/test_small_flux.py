"""The small Flux: Flux's layout and ways in the host's own classes, what training taught it, its draft."""

import comfy.model_sampling
import numpy as np
import pytest
import torch
from emerdiff.nodes.host import network
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.host.transformers import Block
from emerdiff.nodes.steps.checks import check_source
from emerdiff.nodes.steps.values import Source

from measure.beds import SMALL_FLUX
from measure.metrics import bilinear_labels, iou
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from measure.rough import rough_masks
from small_model import small_flux
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once
LARGEST = 12e6  # bytes


class NoHooks:
    def install(self, options):
        pass


@pytest.fixture(scope="module")
def loaded():
    return Source(*small_flux.load())


@pytest.fixture(scope="module")
def pipeline():
    with torch.inference_mode():
        return Pipeline(torch.float32, SMALL_FLUX)


def seen(number: int) -> Pictured:
    made = scene(HELD_OUT + number, SMALL_FLUX.size)
    return Pictured(made.image, made.labels[None])


def denoised(source, latent, noise, level):
    """The model's picture of a latent with a share of noise."""

    def work(x0, predict):
        return predict(network.with_noise(source.model, x0, level, noise.to(x0)), level, NoHooks())

    return run_session(source.model, source.conditioning, latent, work)


def test_it_is_small_and_its_layers_are_those_of_flux(loaded):
    assert small_flux.WEIGHTS.stat().st_size <= LARGEST
    check_source(loaded)
    sampling = loaded.model.get_model_object("model_sampling")
    assert isinstance(sampling, comfy.model_sampling.CONST)
    assert network.of(loaded.model).find_place("auto") == Block("double", 2)
    assert str(network.of(loaded.model).find_place("Single  5")) == "single 5"
    with pytest.raises(ValueError, match='"double 0" to "double 2", "single 0" to "single 5"'):
        network.of(loaded.model).find_place("output 3")


def test_a_level_of_noise_has_the_signal_to_noise_ratio_of_sds(loaded):
    """t = 281: sigma .7789, a share of .4379."""
    assert network.sigma_of(loaded.model, 281) == pytest.approx(0.7789 / 1.7789, abs=1e-4)
    latent, noise = torch.full((1, 4, 2, 2), 2.0), torch.full((1, 4, 2, 2), -1.0)
    assert torch.allclose(network.with_noise(loaded.model, latent, 0.25, noise), torch.full_like(latent, 1.25))


def test_it_removes_noise_better_than_no_model_and_better_with_the_right_words(loaded):
    """Beside the best guess of a model that knows only the mean: (1 - s) x / ((1 - s)^2 + s^2)."""
    errors = {"nothing": [], "empty": [], "words": []}
    for number in range(6):
        made = scene(HELD_OUT + number, 256)
        latent = loaded.vae.encode(torch.from_numpy(made.image)[None])
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(number))
        for level in (0.5, 0.7):
            guess = (1 - level) * ((1 - level) * latent + level * noise) / ((1 - level) ** 2 + level**2)
            errors["nothing"].append((guess - latent).square().mean())
            for name, words in (("empty", ""), ("words", " ".join(made.words))):
                prompted = loaded._replace(conditioning=small_flux.load_clip().conditioning(words))
                errors[name].append((denoised(prompted, latent, noise, level) - latent).square().mean())
    means = {name: float(np.mean(each)) for name, each in errors.items()}
    assert means["empty"] < 0.7 * means["nothing"]
    assert means["words"] < means["empty"]


def test_its_draft_is_better_than_its_clusters_enlarged(pipeline):
    scored = {"draft": [], "clusters": []}
    for number in range(4):
        picture = seen(number)
        _, _, low_res, draft = pipeline.segmented(picture.image, "draft")
        scored["draft"].append(picture.scores(draft))
        scored["clusters"].append(picture.scores(bilinear_labels(low_res.masks[0], picture.image.shape[:2])))
    means = {
        way: {name: np.mean([row[name] for row in rows]) for name in ("miou", "ari", "f2")}
        for way, rows in scored.items()
    }
    assert all(means["draft"][name] > means["clusters"][name] for name in means["draft"])
    assert means["draft"]["miou"] > 0.6 and means["draft"]["ari"] > 0.7


def test_rough_masks_become_the_thing_by_draft(pipeline):
    """Every kind, and by more than .2 on the mean of the scenes."""
    gains = {}
    for number in range(3):
        true = scene(HELD_OUT + number, SMALL_FLUX.size)
        region = true.labels == 2
        rough = rough_masks(region, number)
        masks = torch.from_numpy(np.stack([*rough.values()]))
        lifted = pipeline.lift(true.image, masks, "draft", pipeline.known(true.image, number)).numpy() > 0.5
        for kind, given, found in zip(rough, rough.values(), lifted, strict=True):
            gains.setdefault(kind, []).append(iou(found, region) - iou(given > 0.5, region))
    print({kind: np.round(each, 3) for kind, each in gains.items()})
    assert all(np.mean(each) > 0.2 for each in gains.values())
