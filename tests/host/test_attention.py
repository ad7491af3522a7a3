"""How a picture attends to itself: as read from the network's own queries and keys, and what stands in the way."""

import comfy.ldm.modules.attention
import pytest
import torch
from comparing import NoHooks, smooth_picture
from emerdiff.emerdiff_ops.markov import markov_chain
from emerdiff.nodes.host import network, unet
from emerdiff.nodes.host.session import run_session
from emerdiff.nodes.steps import attention
from emerdiff.nodes.steps.extract import Reading, extract_features
from emerdiff.nodes.steps.levels import clusters_of
from emerdiff.nodes.steps.values import Source

from small_model import small_flux, small_sd

READ = Reading(attention=True)


def plain_map(query, key, tokens: slice) -> torch.Tensor:
    """Of [heads, n, d]: the mean softmax over heads, of these tokens alone."""
    query, key = query[:, tokens].double(), key[:, tokens].double()
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(0)


def outputs_of(module, kept: list):
    return module.register_forward_hook(lambda _, inputs, output: kept.append(output.detach()))


def evaluated(source: Source, latent: torch.Tensor) -> None:
    """A whole evaluation of the latent without noise, told timestep 100."""
    sigma = network.sigma_of(source.model, 100)

    def work(x0, predict):
        predict(x0, sigma, NoHooks())
        return x0

    run_session(source.model, source.conditioning, latent, work)


@pytest.fixture(scope="module")
def sd():
    return Source(*small_sd.load())


@pytest.fixture(scope="module")
def picture():
    return smooth_picture(200, 260, count=2)


def test_chains_of_a_unet_are_those_of_its_own_queries_and_keys(sd, picture):
    features, trajectory = extract_features(sd, picture, reading=READ)
    layers = unet.finest_output_layers(sd.model)
    assert [(each.block, each.number) for each in layers] == [("output", 9), ("output", 10)]
    assert features.chain_grid == (25, 33) and features.chains.shape == (2, 825, 825)
    assert features.chains.dtype == torch.float16
    assert features.clusters.shape == (2, 2, *features.features.shape[1:3])
    assert torch.equal(features.of(1).clusters[0], clusters_of(features.features[1])), "as points make them unasked"
    for chain, latent in zip(features.chains, trajectory.latent.split(1)):
        kept: list = []
        blocks = [sd.model.model.diffusion_model.output_blocks[n][1].transformer_blocks[0].attn1 for n in (9, 10)]
        handles = [outputs_of(part, kept) for block in blocks for part in (block.to_q, block.to_k)]
        evaluated(sd, latent)
        [handle.remove() for handle in handles]
        by_head = [each[0].unflatten(-1, (-1, 32)).transpose(0, 1) for each in kept]
        plain = (plain_map(*by_head[:2], slice(None)) + plain_map(*by_head[2:], slice(None))) / 2
        assert torch.allclose(chain, markov_chain(plain).half(), rtol=2e-3, atol=2e-3)


def test_chains_of_a_transformer_are_of_its_pictures_tokens_alone(picture):
    source = Source(*small_flux.load())
    features, trajectory = extract_features(source, picture[:1], reading=READ)
    block, seen = network.of(source.model).find_place("auto"), []

    def spy(function, query, key, value, heads, *args, **kwargs):
        seen.append((query[0], key[0]))
        return function(query, key, value, heads, *args, **kwargs)

    watched = source.model.clone()
    watched.model_options["transformer_options"]["optimized_attention_override"] = spy
    evaluated(source._replace(model=watched), trajectory.latent)
    tokens = features.chains.shape[-1]
    plain = plain_map(*seen[network.of(source.model).attentions_before(block)], slice(-tokens, None))
    assert torch.allclose(features.chains[0], markov_chain(plain).half(), rtol=2e-3, atol=2e-3)


def test_tokens_are_taken_together_where_they_do_not_fit(sd, picture, monkeypatch):
    notes: list = []
    monkeypatch.setattr(attention, "show_notes", notes.extend)
    monkeypatch.setattr(attention, "MOST_TOKENS", 300)
    features, _ = extract_features(sd, picture[:1], reading=READ)
    assert features.chain_grid == (13, 17) and features.chains.shape == (1, 221, 221)
    assert "33 x 25 tokens: 2 x 2 of them are taken as one" in notes[0]


def test_other_packs_are_seen_through_or_named(sd, picture):
    own, _ = extract_features(sd, picture[:1], reading=READ)
    patched = sd.model.clone()
    calls = []

    def replaced(query, key, value, options):
        calls.append(options["block"])
        return comfy.ldm.modules.attention.optimized_attention(query, key, value, options["n_heads"])

    for number in (8, 9, 10):
        patched.set_model_attn1_replace(replaced, "output", number)
    beside, _ = extract_features(sd._replace(model=patched), picture[:1], reading=READ)
    assert torch.allclose(own.chains, beside.chains, rtol=1e-2, atol=1e-2)
    assert ("output", 9) in calls, "what comes after it is computed with it"

    cached = sd.model.clone()
    cached.set_model_unet_function_wrapper(lambda apply, arguments: arguments["input"])
    with pytest.raises(ValueError, match="another node"):
        extract_features(sd._replace(model=cached), picture[:1], reading=READ)


@pytest.mark.parametrize("loaded", [small_sd.load, small_flux.load])
def test_attention_that_another_pack_overrides_is_read_from_the_same_queries_and_keys(loaded, picture):
    source, calls = Source(*loaded()), []

    def override(function, *args, **kwargs):
        calls.append(function)
        return function(*args, **kwargs)

    patched = source.model.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = override
    models = source.model, patched
    own, beside = (extract_features(source._replace(model=each), picture[:1], reading=READ)[0] for each in models)
    assert torch.equal(own.chains, beside.chains) and calls
    assert patched.model_options["transformer_options"]["optimized_attention_override"] is override


def test_a_block_that_another_pack_replaces_is_named(picture):
    source = Source(*small_flux.load())
    own = network.of(source.model)
    patched = source.model.clone()
    patched.set_model_patch_replace(lambda arguments, _: arguments, "dit", *own.replaced_as(own.find_place("auto")))
    with pytest.raises(ValueError, match="another node replaces or skips"):
        extract_features(source._replace(model=patched), picture[:1], reading=READ)
