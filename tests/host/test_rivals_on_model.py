"""DiffSeg and DiffCut in the real host: what they read of the network is what defines them; nothing changes."""

import numpy as np
import pytest
import torch
from emerdiff.nodes.host import network, unet
from sklearn.metrics import adjusted_rand_score

from measure.beds import SMALL_MODEL
from measure.pictures import Pictured
from measure.pipeline import Pipeline
from measure.rival_methods import diffcut, diffseg
from measure.rivals import measured, table
from reference.plain_procedure import Replay, session
from reference.rivals import PUBLISHED, attention_maps, diffcut_labels, encoder_output, see
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def small_pipeline():
    return Pipeline(torch.float32, SMALL_MODEL)


@pytest.fixture
def latent(sd1, photo):
    return see(sd1, photo[0].numpy(), 128).latent


def transformers(model) -> list:
    """The transformer blocks in running order, found without the pack."""
    modules = model.model.diffusion_model.named_modules()
    return [module for _, module in modules if type(module).__name__ == "BasicTransformerBlock"]


def listening(handles, source, latent, work):
    """A plain run, with forward hooks on modules as long as it lasts."""
    try:
        session(source.model, source.conditioning, latent, work)
    finally:
        for handle in handles:
            handle.remove()


def in_heads(projected, heads):
    return projected[0].unflatten(1, (heads, -1)).movedim(1, 0)  # [heads, n, d]


def test_attention_maps_are_the_softmax_of_query_and_key(sd1, latent):
    """Query and key by forward hooks on their projections, in a run that nothing of the pack takes part in.

    As deep layers see what those before them put out, this says too that reading changes nothing.
    """
    seen, handles = {"q": [], "k": []}, []
    blocks = transformers(sd1.model)
    for block in blocks:
        for name, projection in (("q", block.attn1.to_q), ("k", block.attn1.to_k)):
            keep = seen[name].append
            handles.append(projection.register_forward_hook(lambda module, args, output, keep=keep: keep(output)))
    sigma = network.sigma_of(sd1.model, 300)
    listening(handles, sd1, latent, lambda x0, denoise: denoise(x0 * (sigma**2 + 1) ** 0.5, sigma, Replay()))
    ours = attention_maps(sd1, latent)
    assert len(ours) == len(blocks) == len(seen["q"])
    for maps, query, key, block in zip(ours, seen["q"], seen["k"], blocks, strict=True):
        q, k = (in_heads(each, block.n_heads) for each in (query, key))
        expected = (q @ k.mT / block.d_head**0.5).softmax(-1).mean(0)
        assert torch.allclose(maps.flatten(2).flatten(0, 1), expected, atol=1e-6)


def test_the_network_is_given_the_clean_latent_and_timestep_300(sd1, latent):
    given = []
    own = sd1.model.model.diffusion_model
    handle = own.register_forward_pre_hook(lambda module, args: given.append((args[0].clone(), args[1].clone())))
    try:
        attention_maps(sd1, latent)
    finally:
        handle.remove()
    ((x, timestep),) = given
    assert torch.allclose(x, sd1.model.model.process_latent_in(latent), atol=1e-5) and timestep.tolist() == [300]


def test_features_are_what_the_encoders_last_self_attention_puts_out(sd1, latent):
    """And the network goes no further."""
    seen, ran = [], []
    own = sd1.model.model.diffusion_model
    last = [block for part in own.input_blocks for block in transformers_in(part)][-1]
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(42))
    sigma = network.sigma_of(sd1.model, 50)
    handles = [last.attn1.register_forward_hook(lambda module, args, output: seen.append(output))]
    listening(handles, sd1, latent, lambda x0, denoise: denoise(x0 + sigma * noise, sigma, Replay()))
    handle = own.middle_block.register_forward_hook(lambda *_: ran.append(True))
    ours = encoder_output(sd1, latent)
    handle.remove()
    assert ours.shape == (*unet.grid_of(sd1.model, unet.Layer("input", 5, 0), (16, 16)), 320)
    assert torch.allclose(ours.flatten(0, 1), seen[0][0], atol=1e-5) and not ran


def transformers_in(part) -> list:
    return [module for module in part.modules() if type(module).__name__ == "BasicTransformerBlock"]


@pytest.mark.parametrize("size", [(100, 72), (65, 129)])
def test_pictures_of_any_size_get_a_label_at_every_pixel(sd1, size):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    labels = diffcut_labels(sd1, image, 64, PUBLISHED)
    assert labels.shape == size and set(np.unique(labels)) == set(range(labels.max() + 1))


@pytest.mark.parametrize("method", [diffseg, diffcut])
def test_with_its_own_thresholds_both_find_what_is_in_a_scene(small_pipeline, method):
    agreements = []
    for number in range(3):
        made = scene(HELD_OUT + number)
        agreements.append(adjusted_rand_score(made.labels.ravel(), method(small_pipeline, made.image).ravel()))
    assert np.mean(agreements) > 0.5


def test_a_method_is_measured_with_what_it_costs(small_pipeline):
    made = scene(HELD_OUT)
    seen, names = Pictured(made.image, made.labels[None]), ["kmeans-colour", "emerdiff-draft", "diffseg"]
    rows = [{"kind": "scenes", "key": HELD_OUT, **row} for row in measured(small_pipeline, seen, names, "fp32")]
    flops = {row["method"]: row["flops"] for row in rows}
    assert list(flops) == names and 0 <= flops["kmeans-colour"] < flops["diffseg"] < flops["emerdiff-draft"]
    assert all(row["segments"] > 1 and row["seconds"] > 0 and 0 < row["f2"] <= 1 for row in rows)
    kinds = [line.split(" | ")[0] for line in table(rows, "small-model").splitlines()[4:]]
    assert kinds == ["| all"] * 3 + ["| scenes"] * 3
