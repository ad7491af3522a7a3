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

from measure import drafts, places, pushes
from measure.beds import SMALL_FLUX
from measure.pictures import Pictured
from measure.pipeline import Pipeline
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
    assert network.find_place(loaded.model, "auto") == Block("double", 2)
    assert str(network.find_place(loaded.model, "Single  5")) == "single 5"
    with pytest.raises(ValueError, match='"double 0" to "double 2", "single 0" to "single 5"'):
        network.find_place(loaded.model, "output 3")


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
    rows = [row for number in range(4) for row in drafts.measured(pipeline, seen(number), ["small-flux"])]
    of = {way: [row for row in rows if row["way"] == way] for way in ("draft", "clusters, bilinear")}
    means = {way: {name: np.mean([row[name] for row in group]) for name in drafts.SHOWN} for way, group in of.items()}
    assert all(means["draft"][name] > means["clusters, bilinear"][name] for name in drafts.SHOWN)
    assert means["draft"]["miou"] > 0.6 and means["draft"]["ari"] > 0.7
    assert "| scenes, 4 | small-flux | draft |" in drafts.table(
        [{"kind": "scenes", "key": number // 3, **row} for number, row in enumerate(rows)]
    )


def test_what_is_recorded_of_a_block_is_what_the_nodes_read(pipeline):
    trajectory = places.invert(pipeline.source, torch.from_numpy(seen(0).image)[None], 0, SMALL_FLUX.size)
    recorded = places.recorded(pipeline, trajectory, network.sigma_of(pipeline.source.model, 1))
    reading = places.ROBUST._replace(timestep=1, layer="single 3")
    features = pushes.read_features(pipeline.source, trajectory, reading).features
    assert torch.allclose(recorded[places.GIVEN, ("single", 3)].features, features, atol=1e-4)
    assert {kind for kind, _ in recorded} > {"queries", "keys", "values", places.PUT_OUT}


def test_pushes_start_from_the_run_that_nothing_pushes(pipeline):
    """Row 0 is it; without strength all rows are; with it, -c and +c part from it in opposite ways at first."""
    trajectory = places.invert(pipeline.source, torch.from_numpy(seen(1).image)[None], 0, SMALL_FLUX.size)
    masks = torch.zeros(1, 16, 16)
    masks[:, 4:9, 4:9] = 1
    way = pushes.Way(0.44, 2, pushes.MEAN, 3.0)
    base, minus, plus = pushes.pushed(pipeline, trajectory, masks, way)
    assert not torch.allclose(minus, base, atol=1e-3)
    change = [each - base for each in (minus, plus)]
    assert torch.nn.functional.cosine_similarity(*[each.flatten() for each in change], dim=0) < 0
    still = pushes.pushed(pipeline, trajectory, masks, way._replace(strength=0.0))
    assert torch.allclose(still, base.expand_as(still), atol=1e-4)
